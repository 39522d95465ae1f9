// The composer of scenes: things of a kind, colour, size, facing and letter, added to and taken from the picture.
import { $, filled, show } from '/page/calls.js';

export const FIRST = {
  things: [
    { kind: 'dog', colour: 'red', size: 'big', facing: 'left', letter: null, variant: 0, x: 52, y: 100 },
    { kind: 'apple', colour: 'green', size: 'big', facing: null, letter: null, variant: 0, x: 140, y: 100 },
  ],
  question: 'Is the dog to the left of the apple?',
  choices: ['true', 'false'],
};
const LOOKS = ['kind', 'colour', 'size', 'facing', 'letter'];

export class Composer {
  constructor(page) {
    this.page = page;
    const { scene } = page.about;
    filled($('kind'), scene.kinds.map(([name]) => [name]));
    filled($('colour'), scene.colours.map((c) => [c]));
    filled($('size'), scene.sizes.map((s) => [s]));
    filled($('facing'), scene.facings.map((f) => [f, `facing ${f}`]));
    filled($('letter'), scene.letters.map((l) => [l]));
    $('add').addEventListener('click', () => this.addThing());
    $('remove').addEventListener('click', () => this.removeThing());
    for (const id of LOOKS) $(id).addEventListener('change', () => this.reshape());
  }

  addThing() {
    const { things } = this.page.state.picture;
    if (things.length >= 20) { show('a scene holds at most 20 things'); return; }
    const number = things.length;
    things.push({ ...this.chosenLook(), variant: 0, x: 32 + 64 * (number % 3), y: 32 + 64 * (Math.floor(number / 3) % 3) });
    this.page.view.thing = number;
    this.sceneChanged();
  }

  removeThing() {
    if (this.page.view.thing < 0) { show('select a thing first: click on it in the picture'); return; }
    this.page.state.picture.things.splice(this.page.view.thing, 1);
    this.page.view.thing = -1;
    this.sceneChanged();
  }

  chosenLook() {
    const [, faces, letters] = this.page.about.scene.kinds.find(([name]) => name === $('kind').value);
    return {
      kind: $('kind').value, colour: $('colour').value, size: $('size').value,
      facing: faces ? $('facing').value : null, letter: letters ? $('letter').value : null,
    };
  }

  reshape() {
    const thing = this.page.state.picture.things[this.page.view.thing];
    if (thing) { Object.assign(thing, this.chosenLook()); this.sceneChanged(); }
    this.thingSelected();
  }

  thingSelected() {
    const thing = this.page.state.picture.things[this.page.view.thing];
    if (thing) for (const id of LOOKS) if (thing[id]) $(id).value = thing[id];
    const [, faces, letters] = this.page.about.scene.kinds.find(([name]) => name === $('kind').value);
    $('facing').disabled = !faces;
    $('letter').disabled = !letters;
    $('remove').disabled = !thing;
  }

  sceneChanged() {
    const { page } = this;
    page.state.boxes = [];
    this.thingSelected();
    page.guard(async () => { await Promise.all([page.showPicture(), page.showCase()]); });
    page.changed();
  }
}
