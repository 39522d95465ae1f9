// Asking the server, and small things that every part of the page needs.
export const $ = (id) => document.getElementById(id);
const TOKEN = document.querySelector('meta[name="token"]').content;
export const percent = (share) => (share === null ? '\u2013' : `${(100 * share).toFixed(1)} %`);

export function make(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

export function filled(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => {
    const option = make('option', text ?? value);
    option.value = value;
    return option;
  }));
  if (chosen !== undefined) select.value = chosen;
}

export function show(text) {
  $('message').hidden = !text;
  $('message').textContent = text || '';
}

export function saved(blob, name) {
  const link = make('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const running = {}; // what is asked -> its AbortController: a newer request of a kind stops the older

export async function call(path, body, raw) {
  running[path]?.abort();
  const controller = (running[path] = new AbortController());
  const headers = { 'X-Headscope': TOKEN };
  const options = { signal: controller.signal, headers };
  if (body !== undefined) {
    options.method = 'POST';
    options.body = raw ? body : JSON.stringify(body);
    if (!raw) headers['Content-Type'] = 'application/json';
  }
  let answer;
  try {
    answer = await fetch(`/api/${path}`, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('headscope play does not answer; is it still running in the terminal?');
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.error || `refused (${answer.status})`);
  }
  return answer.headers.get('Content-Type').startsWith('image/') ? answer.blob() : answer.json();
}
