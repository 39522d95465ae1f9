// The picture: boxes drawn on it, things of a composed scene dragged on it, a head's attention laid over it.
import { $ } from '/page/calls.js';

const SVG = 'http://www.w3.org/2000/svg';

export function shape(name, kind, values) {
  const made = document.createElementNS(SVG, name);
  made.setAttribute('class', kind);
  for (const [key, value] of Object.entries(values)) made.setAttribute(key, String(value));
  return made;
}

export class PictureView {
  // state: the page's; changed(): the page's, called once something was drawn or moved
  constructor(page) {
    this.page = page;
    this.attention = null;
    this.thing = -1; // the selected one of a composed scene
    this.start = null;
    const frame = $('frame');
    frame.addEventListener('pointerdown', (event) => this.down(event));
    frame.addEventListener('pointermove', (event) => this.move(event));
    frame.addEventListener('pointerup', (event) => this.up(event));
    frame.addEventListener('pointercancel', () => { this.start = null; this.draw(); });
    frame.addEventListener('keydown', (event) => this.key(event));
    $('picture').addEventListener('load', () => this.draw());
  }

  get composing() { return this.page.state.picture.source === 'scene'; }

  size() { return [$('picture').naturalWidth || 1, $('picture').naturalHeight || 1]; }

  at(event) {
    const area = $('picture').getBoundingClientRect();
    const [wide, high] = this.size();
    const clip = (value, most) => Math.max(0, Math.min(most, value));
    return [
      clip(((event.clientX - area.left) / area.width) * wide, wide),
      clip(((event.clientY - area.top) / area.height) * high, high),
    ];
  }

  down(event) {
    if (event.button !== 0) return;
    $('frame').setPointerCapture(event.pointerId);
    this.start = this.at(event);
    this.end = this.start;
    if (!this.composing) return;
    const [x, y] = this.start;
    const things = this.page.state.picture.things;
    const near = things.map((t, i) => [Math.hypot(t.x - x, t.y - y), i]).filter((p) => p[0] < 28).sort((a, b) => a[0] - b[0]);
    this.thing = near.length ? near[0][1] : -1;
    this.page.composer.thingSelected();
    this.draw();
  }

  move(event) {
    if (!this.start) return;
    this.end = this.at(event);
    if (this.composing && this.thing >= 0) this.place(...this.end);
    this.draw();
  }

  up(event) {
    if (!this.start) return;
    this.move(event);
    const [[x0, y0], [x1, y1]] = [this.start, this.end];
    this.start = null;
    if (this.composing) {
      if (this.thing >= 0 && Math.hypot(x1 - x0, y1 - y0) > 1) this.page.composer.sceneChanged();
    } else if (Math.abs(x1 - x0) > 3 && Math.abs(y1 - y0) > 3) {
      const box = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)].map(Math.round);
      this.page.addBox(box);
    }
    this.draw();
  }

  place(x, y) {
    const thing = this.page.state.picture.things[this.thing];
    thing.x = Math.max(0, Math.min(191, Math.round(x)));
    thing.y = Math.max(0, Math.min(191, Math.round(y)));
  }

  key(event) {
    const step = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] }[event.key];
    const thing = this.composing && this.page.state.picture.things[this.thing];
    if (!step || !thing) return;
    event.preventDefault();
    this.place(thing.x + step[0], thing.y + step[1]);
    this.draw();
    this.page.composer.sceneChanged();
  }

  draw() {
    const over = $('over');
    const [wide, high] = this.size();
    over.setAttribute('viewBox', `0 0 ${wide} ${high}`);
    over.replaceChildren();
    if (this.attention) this.drawAttention(over);
    const boxes = [...this.page.state.boxes];
    if (this.start && !this.composing) {
      const [[x0, y0], [x1, y1]] = [this.start, this.end];
      boxes.push([Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)]);
    }
    const thing = this.composing ? this.page.state.picture.things[this.thing] : null;
    if (thing) boxes.push([thing.x - 24, thing.y - 24, thing.x + 24, thing.y + 24]);
    for (const [x0, y0, x1, y1] of boxes)
      for (const kind of ['around', 'box'])
        over.append(shape('rect', kind, { x: x0, y: y0, width: x1 - x0, height: y1 - y0 }));
  }

  drawAttention(over) {
    const { weights, area } = this.attention;
    const most = Math.max(...weights.flat(), 1e-9);
    const [x0, y0, x1, y1] = area;
    const wide = (x1 - x0) / weights[0].length, high = (y1 - y0) / weights.length;
    weights.forEach((row, r) => row.forEach((weight, c) => {
      over.append(shape('rect', 'cell', {
        x: x0 + c * wide, y: y0 + r * high, width: wide, height: high, opacity: 0.75 * (weight / most),
      }));
    }));
  }
}
