import { $, call, filled, make, percent, saved, show } from '/page/calls.js';
import { Composer, FIRST } from '/page/composer.js';
import { exported } from '/page/export.js';
import { HeadMap } from '/page/headmap.js';
import { PictureView } from '/page/picture.js';

const SHOWN = 6; // choices with a bar

class Page {
  constructor(about) {
    this.about = about;
    this.state = this.linked() || this.first();
    this.effects = {};
    this.looked = '';
    this.view = new PictureView(this);
    this.composer = new Composer(this);
    this.map = new HeadMap($('map'), about.heads, (label) => this.clicked(label));
    this.fill();
    this.listen();
  }

  first() {
    const [example] = this.about.pictures.example;
    return this.withCase({ source: 'example', id: example.id, things: [], background: 0 }, example);
  }

  withCase(picture, known) {
    const edit = this.state?.edit ?? { heads: [], action: 'mute', factor: 1.5, scope: 'all', function: '' };
    return {
      picture, question: known.question, choices: [...known.choices], style: this.state?.style ?? '', boxes: [], edit,
    };
  }

  linked() {
    try {
      const bytes = Uint8Array.from(atob(location.hash.slice(1).replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
      const state = JSON.parse(new TextDecoder().decode(bytes));
      return state.picture && state.edit && Array.isArray(state.boxes) && Array.isArray(state.choices) ? state : null;
    } catch {
      return null;
    }
  }

  remember() {
    const bytes = new TextEncoder().encode(JSON.stringify(this.state));
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte);
    history.replaceState(null, '', `#${btoa(text).replace(/\+/g, '-').replace(/\//g, '_')}`);
  }

  fill() {
    const { about } = this;
    $('model').textContent = about.model;
    filled($('style'), [['', 'nothing'], ...about.styles.map(([name]) => [name])]);
    filled($('scope'), about.scopes.map((scope) => [scope, scope === 'all' ? 'all positions' : scope]));
    filled($('function'), about.functions.map((f) => [f.name, f.title]));
    for (const id of ['function', 'many', 'take']) $(id).disabled = !about.functions.length;
    $('many').max = about.heads.length;
    $('action').querySelector('[value="steer"]').disabled = !about.functions.some((f) => f.steers);
    document.querySelector('[data-source="case"]').disabled = !about.pictures.case.length;
    this.composer.thingSelected();
  }

  listen() {
    for (const button of document.querySelectorAll('[data-source]'))
      button.addEventListener('click', () => this.source(button.dataset.source));
    $('chosen').addEventListener('change', () => this.choosePicture($('chosen').value));
    $('file').addEventListener('change', () => this.upload());
    $('style').addEventListener('change', () => { this.state.style = $('style').value; this.changed(); });
    $('clear').addEventListener('click', () => { this.state.boxes = []; this.changed(); });
    $('seen').addEventListener('change', () => this.showPicture());
    $('ask').addEventListener('submit', (event) => { event.preventDefault(); this.typed(); });
    for (const id of ['question', 'choices']) $(id).addEventListener('change', () => this.typed());
    $('take').addEventListener('click', () => this.take());
    $('claimed').addEventListener('click', () => { this.state.edit.heads = [...this.functionChosen().claimed]; this.edited(); });
    $('none').addEventListener('click', () => { this.state.edit.heads = []; this.changed(); });
    for (const id of ['action', 'scope', 'factor', 'function']) $(id).addEventListener('change', () => this.edited());
    for (const radio of document.querySelectorAll('[name="shows"]'))
      radio.addEventListener('change', () => this.look(this.looked));
    $('chain').addEventListener('click', () => this.guard(() => this.chain(), $('chain')));
    $('random').addEventListener('click', () => this.guard(() => this.random(), $('random')));
    $('link').addEventListener('click', () => this.copy(location.href, $('link')));
    $('python').addEventListener('click', () => this.guard(() => this.python()));
    $('copy').addEventListener('click', () => this.copy($('lines').textContent, $('copy')));
    $('save').addEventListener('click', () => this.guard(() => this.savePicture(), $('save')));
    $('png').addEventListener('click', () => this.guard(() => this.png(), $('png')));
    window.addEventListener('hashchange', () => {
      const state = this.linked();
      if (state && JSON.stringify(state) !== JSON.stringify(this.state)) { this.state = state; this.render(); }
    });
  }

  async guard(work, button) {
    if (button) button.disabled = true;
    try {
      await work();
      return true;
    } catch (error) {
      if (error.name !== 'AbortError') show(error.message);
      return false;
    } finally {
      if (button) button.disabled = false;
    }
  }

  async copy(text, button) {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'Copied';
    } catch {
      show('the browser does not let this page copy; copy it from the address bar, or by hand');
    }
    setTimeout(() => { button.textContent = before; }, 1200);
  }

  // ---- pictures

  source(source) {
    if (source === 'upload') { $('file').click(); return; }
    if (source === 'scene') {
      const things = FIRST.things.map((thing) => ({ ...thing }));
      this.state = this.withCase({ source, id: '', things, background: 0 }, FIRST);
      this.view.thing = -1;
      this.render();
      return;
    }
    const [known] = this.about.pictures[source];
    this.state = this.withCase({ source, id: known.id, things: [], background: 0 }, known);
    this.render();
  }

  choosePicture(id) {
    const { source } = this.state.picture;
    const known = this.about.pictures[source].find((c) => c.id === id);
    this.state = this.withCase({ source, id, things: [], background: 0 }, known);
    this.render();
  }

  async upload() {
    const [file] = $('file').files;
    if (!file) return;
    await this.guard(async () => {
      const { id } = await call('upload', file, true);
      const { question, choices } = this.state;
      this.state = this.withCase({ source: 'upload', id, things: [], background: 0 }, { question, choices });
      await this.render();
    });
    $('file').value = '';
  }

  async showPicture() {
    await this.guard(async () => {
      const blob = await call($('seen').checked ? 'pointed' : 'picture', this.state);
      URL.revokeObjectURL(this.url);
      this.url = URL.createObjectURL(blob);
      $('picture').src = this.url;
    });
  }

  async showCase() {
    const { case: known } = await call('case', this.state);
    $('things').replaceChildren(...(known?.things ?? []).map(({ name, box }) => {
      const button = make('button', name);
      button.type = 'button';
      button.addEventListener('click', () => this.addBox(box));
      return button;
    }));
    const main = known?.question && known.question !== '?' ? [{ question: known.question, choices: known.choices }] : [];
    const asked = [...main, ...(known?.questions ?? [])];
    $('known').replaceChildren(...asked.map(({ question, choices }) => {
      const button = make('button', question);
      button.type = 'button';
      button.addEventListener('click', () => { Object.assign(this.state, { question, choices: [...choices] }); this.fields(); this.changed(); });
      return button;
    }));
  }

  addBox(box) {
    this.state.boxes.push(box);
    if (!this.state.style) this.state.style = 'both';
    this.fields();
    this.changed();
  }

  // ---- the question and the edit

  typed() {
    const question = $('question').value.trim();
    const choices = $('choices').value.split(',').map((c) => c.trim()).filter(Boolean);
    if (question === this.state.question && JSON.stringify(choices) === JSON.stringify(this.state.choices)) return;
    Object.assign(this.state, { question, choices });
    this.changed();
  }

  clicked(label) {
    const attention = document.querySelector('[name="shows"]:checked').value === 'attention';
    if (attention) { this.look(this.looked === label ? '' : label); return; }
    const { edit } = this.state;
    edit.heads = edit.heads.includes(label) ? edit.heads.filter((h) => h !== label) : [...edit.heads, label];
    this.changed();
  }

  functionChosen() { return this.about.functions.find((f) => f.name === $('function').value); }

  take() {
    const many = Math.max(1, Math.min(this.about.heads.length, Number($('many').value) || 1));
    $('many').value = many;
    this.state.edit.heads = this.functionChosen().heads.slice(0, many);
    this.edited();
  }

  edited() {
    const { edit } = this.state;
    edit.action = $('action').value;
    edit.scope = $('scope').value;
    edit.factor = Number.isFinite($('factor').valueAsNumber) ? $('factor').valueAsNumber : 1.5;
    edit.function = edit.action === 'steer' ? $('function').value : '';
    this.fields();
    if (edit.heads.length) this.changed();
  }

  async look(label) {
    this.looked = label;
    const attention = document.querySelector('[name="shows"]:checked').value === 'attention';
    this.map.look(attention ? label : '');
    this.view.attention = null;
    $('head-says').textContent = !attention ? 'Click heads to edit them.' : label ? '' : 'Click a head: its attention is laid over the picture.';
    if (attention && label) {
      await this.guard(async () => {
        const found = await call('attention', { state: this.state, head: label });
        this.view.attention = found;
        $('head-says').textContent = `${label} looks at the picture with ${percent(found.share)} of its attention, as the answer's first word is predicted`;
      });
    }
    this.view.draw();
  }

  // ---- what is shown

  fields() {
    const { state } = this;
    $('question').value = state.question;
    $('choices').value = state.choices.join(', ');
    $('style').value = state.style;
    $('action').value = state.edit.action;
    $('factor').value = state.edit.factor;
    $('factor').disabled = state.edit.action === 'mute';
    $('scope').value = state.edit.scope;
    if (state.edit.function) $('function').value = state.edit.function;
    for (const button of document.querySelectorAll('[data-source]'))
      button.setAttribute('aria-pressed', String(button.dataset.source === state.picture.source));
    const listed = this.about.pictures[state.picture.source];
    $('picker').hidden = !listed;
    if (listed) filled($('chosen'), listed.map((c) => [c.id, c.question]), state.picture.id);
    $('composer').hidden = state.picture.source !== 'scene';
    $('frame').classList.toggle('composing', state.picture.source === 'scene');
    $('boxes').replaceChildren(...state.boxes.map((box, i) => {
      const item = make('li', box.map(Math.round).join(', '));
      const button = make('button', '\u00d7');
      button.type = 'button';
      button.setAttribute('aria-label', `remove box ${i + 1}`);
      button.addEventListener('click', () => { state.boxes.splice(i, 1); this.changed(); });
      item.append(button);
      return item;
    }));
    const claimed = this.functionChosen()?.claimed ?? [];
    $('claimed').disabled = !claimed.length;
    $('claimed').title = claimed.length ? `heads that the study claims: ${claimed.join(', ')}` : 'no heads of this function are claimed here';
    this.map.choose(state.edit.heads);
  }

  async render() {
    this.fields();
    const shown = this.guard(() => this.showCase());
    await Promise.all([this.showPicture(), shown, this.changed()]);
  }

  changed() {
    this.fields();
    this.remember();
    $('steps').replaceChildren();
    $('draws').replaceChildren();
    $('code').hidden = true;
    $('python').setAttribute('aria-expanded', 'false');
    this.view.draw();
    if ($('seen').checked) this.showPicture();
    clearTimeout(this.timer);
    return new Promise((resolve) => { this.timer = setTimeout(() => resolve(this.answer()), 60); });
  }

  async answer() {
    if (!this.state.question) { show('type a question'); return; }
    $('busy').textContent = 'asking \u2026';
    const fine = await this.guard(async () => {
      const found = await call('answers', this.state);
      this.plain = found.plain;
      this.said = { plain: found.plain.text || '(nothing)', changed: found.changed.text || '(nothing)' };
      $('plain').textContent = this.said.plain;
      $('changed').textContent = this.said.changed;
      $('changed-title').textContent = this.what();
      $('busy').textContent = `${Math.round(1000 * found.seconds)} ms`;
      this.bars(found);
      show('');
    });
    if (!fine) { $('busy').textContent = ''; return; }
    await this.guard(() => this.effectsOfHeads());
    await this.look(this.looked);
    document.body.dataset.answered = String(Number(document.body.dataset.answered || 0) + 1);
  }

  what() {
    const { edit, style, boxes } = this.state;
    const does = { mute: 'muted', scale: `times ${edit.factor}`, steer: `steered by ${edit.factor}` }[edit.action];
    const named = edit.heads.length > 4 ? `${edit.heads.length} heads` : edit.heads.join(', ');
    const parts = [];
    if (style && boxes.length) parts.push(`pointed at by ${style}`);
    if (edit.heads.length) parts.push(`${named} ${does}`);
    return parts.join('; ') || 'the same: nothing is pointed at or edited';
  }

  bars(found) {
    const after = Object.fromEntries(found.changed.choices.map((c) => [c.choice, c.share]));
    const most = (c) => Math.max(c.share ?? 0, after[c.choice] ?? 0);
    const ranked = [...found.plain.choices].sort((a, b) => most(b) - most(a));
    $('bars').replaceChildren(...ranked.slice(0, SHOWN).map(({ choice, share }) => {
      const row = make('div', undefined, 'choice');
      row.append(make('span', choice));
      for (const [kind, value] of [['', share], ['after', after[choice]]]) {
        const bar = make('i', undefined, kind);
        bar.style.width = `${100 * (value ?? 0)}%`;
        row.append(bar, make('b', percent(value ?? null)));
      }
      return row;
    }));
    const rest = ranked.slice(SHOWN);
    if (rest.length) $('bars').append(make('p', `${rest.length} more, each at most ${percent(most(rest[0]))}`, 'hint'));
    const weak = found.changed.total !== null && found.changed.total < 0.05;
    $('weak').textContent = weak
      ? `All answers together have ${percent(found.changed.total)} of the model's probability: it does not want to answer in this form.`
      : '';
  }

  async effectsOfHeads() {
    const found = await call('heads', this.state);
    this.effects = Object.fromEntries(found.effects.map((value, i) => [this.about.heads[i][0], value]));
    this.map.show(this.effects);
    $('map-says').textContent = found.reason
      || `What muting each head would take from \u201c${found.answer}\u201d, estimated from one gradient, without the edit.`;
  }

  async chain() {
    const { steps, reason } = await call('steps', this.state);
    if (reason) { $('steps').replaceChildren(make('p', reason, 'hint')); return; }
    const table = make('table');
    const head = make('tr');
    head.append(...['step', 'true', 'as it is', 'changed'].map((text) => make('th', text)));
    table.append(head, ...steps.map((step) => {
      const row = make('tr');
      const asked = make('td', step.question);
      asked.title = step.function.replace(/_/g, ' ');
      row.append(asked, make('td', step.truth || '\u2013'));
      for (const which of ['plain', 'changed']) {
        const right = step[`${which}_right`];
        const cell = make('td');
        const mark = right === null ? '' : right ? ' \u2713' : ' \u2717';
        cell.append(make('span', `${step[which] || '(nothing)'}${mark}`, right === null ? '' : right ? 'right' : 'wrong'));
        row.append(cell);
      }
      return row;
    }));
    $('steps').replaceChildren(table);
  }

  async random() {
    const { answers, layer_matched: matched, reason, distinct } = await call('random', { state: this.state });
    const of = (answer) => answer.answer ?? answer.text;
    const before = of(this.plain);
    const same = answers.filter((a) => of(a) === before).length;
    const row = make('p');
    row.append(...answers.map((answer) => {
      const square = make('i', undefined, of(answer) === before ? '' : 'other');
      square.title = of(answer);
      return square;
    }));
    const line = `${same} of ${answers.length} random sets of ${this.state.edit.heads.length} heads leave the answer as it is`;
    const how = matched ? ', each with as many heads in every layer' : '';
    const note = reason ? ` (${reason})` : ` (${distinct} different sets)`;
    $('draws').replaceChildren(row, make('p', `${line}${how}${note}.`, 'hint'));
  }

  async python() {
    const open = $('code').hidden;
    if (open) $('lines').textContent = (await call('snippet', this.state)).python;
    $('code').hidden = !open;
    $('python').setAttribute('aria-expanded', String(open));
  }

  async png() {
    const plain = await call('picture', this.state);
    const pointed = await call('pointed', this.state);
    saved(await exported(this.state.question, this.said, this.what(), [plain, pointed]), 'headscope-play.png');
  }

  // The picture as it is, under the name that the Python reads.
  async savePicture() { saved(await call('picture', this.state), 'picture.png'); }
}

call('about').then((about) => {
  const page = new Page(about);
  window.headscopePage = page; // for tests
  page.render();
}).catch((error) => show(error.message));
