// The map of heads: rows are layers, columns heads; a click chooses a head, or looks at it.
const SCALE = ['#5e3c78', '#9d82b3', '#d9cfe2', '#f7f7f5', '#cfe3cf', '#7fb285', '#23693a'];
const parts = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

// Colour of a share from -1 (against the answer) to 1 (for it), linear between the scale's stops.
export function colour(share) {
  const place = Math.max(0, Math.min(1, (share + 1) / 2)) * (SCALE.length - 1);
  const left = Math.min(Math.floor(place), SCALE.length - 2);
  const [a, b] = [parts(SCALE[left]), parts(SCALE[left + 1])];
  return `rgb(${a.map((x, i) => Math.round(x + (b[i] - x) * (place - left))).join(',')})`;
}

export class HeadMap {
  constructor(place, heads, clicked) {
    this.buttons = new Map();
    const layers = [...new Set(heads.map((h) => h[1]))];
    const rows = layers.map((layer) => heads.filter((h) => h[1] === layer));
    const most = Math.max(...rows.map((r) => r.length));
    place.style.gridTemplateColumns = `34px repeat(${most}, minmax(12px, 34px))`;
    rows.forEach((row, i) => {
      const name = document.createElement('span');
      name.textContent = `L${layers[i]}`;
      place.append(name);
      row.forEach(([label], column) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.setAttribute('aria-label', label);
        button.title = label;
        button.style.gridColumn = String(column + 2);
        button.addEventListener('click', () => clicked(label));
        this.buttons.set(label, button);
        place.append(button);
      });
    });
  }

  choose(labels) {
    const chosen = new Set(labels);
    for (const [label, button] of this.buttons) button.setAttribute('aria-pressed', String(chosen.has(label)));
  }

  look(label) {
    for (const [name, button] of this.buttons) button.classList.toggle('looked', name === label);
  }

  // effects: head label -> nats; none: all neutral
  show(effects) {
    const most = Math.max(1e-9, ...Object.values(effects).map(Math.abs));
    for (const [label, button] of this.buttons) {
      const value = effects[label];
      button.style.background = value === undefined ? '' : colour(value / most);
      const said = value === undefined ? label : `${label}: ${value >= 0 ? '+' : '\u2212'}${Math.abs(value).toFixed(2)} nats`;
      button.title = said;
      button.setAttribute('aria-label', said);
    }
  }
}
