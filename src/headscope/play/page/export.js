// The page's two answers as one picture.
function wrapped(context, text, width) {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const longer = `${lines[lines.length - 1]} ${word}`.trim();
    if (context.measureText(longer).width > width && lines[lines.length - 1]) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines.slice(0, 4);
}

async function loaded(blob) {
  return createImageBitmap(blob);
}

// question, said: {plain, changed}, about: one line; pictures: two blobs
export async function exported(question, said, about, pictures) {
  const images = await Promise.all(pictures.map(loaded));
  const side = 420, gap = 28, top = 110;
  const heights = images.map((image) => (image.height / image.width) * side);
  const canvas = document.createElement('canvas');
  const scale = 2;
  canvas.width = (2 * side + 3 * gap) * scale;
  canvas.height = (top + Math.max(...heights) + 110) * scale;
  const context = canvas.getContext('2d');
  context.scale(scale, scale);
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  const font = (style) => { context.font = `${style} "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif`; };
  context.fillStyle = '#1f2328';
  font('600 20px');
  wrapped(context, question, 2 * side + gap).slice(0, 2).forEach((line, i) => context.fillText(line, gap, 40 + 26 * i));
  ['plain', 'changed'].forEach((which, i) => {
    const x = gap + i * (side + gap);
    context.drawImage(images[i], x, top, side, heights[i]);
    font('13px');
    context.fillStyle = '#57606a';
    const title = which === 'plain' ? 'as it is' : about;
    wrapped(context, title, side).slice(-1).forEach((line) => context.fillText(line, x, top - 12));
    font('600 22px');
    context.fillStyle = which === 'plain' ? '#1f2328' : '#b5432a';
    wrapped(context, said[which], side).slice(0, 2).forEach((line, n) => context.fillText(line, x, top + heights[i] + 34 + 28 * n));
  });
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
}
