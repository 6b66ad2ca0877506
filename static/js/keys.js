/*
 * Everything that opens over the page or listens to the keyboard: dialogs, menus, shortcuts, the ? sheet, the palette.
 *
 *   <a href="/customers/" data-key="g c" data-command>Customers</a>      a sequence, also listed in the palette
 *   <button data-dialog="filters">…</button> <dialog class="dialog" id="filters">… <button data-close>…</dialog>
 *   import {register} from '…/keys.js';
 *   register({keys: 'e', label: 'Resolve', run: () => resolve()});
 */

const SEQUENCE_MS = 1200;
const registered = [];

/* ---- Dialogs ---------------------------------------------------------------------------------------------------- */

document.addEventListener('click', (event) => {
  const opener = event.target.closest('[data-dialog]');
  if (opener) {
    event.preventDefault();
    document.getElementById(opener.dataset.dialog)?.showModal();
    return;
  }
  const closer = event.target.closest('[data-close]');
  if (closer) closer.closest('dialog')?.close();
});

// A press on the backdrop reaches the dialog itself. Compare places, since padding belongs to the dialog too, and close
// only when the press also began outside: dragging a selection out of a field must not throw the form away.
let pressedOutside = false;

const isOutside = (dialog, event) => {
  const box = dialog.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
};

document.addEventListener('pointerdown', (event) => {
  pressedOutside = event.target instanceof HTMLDialogElement && isOutside(event.target, event);
});
document.addEventListener('click', (event) => {
  if (pressedOutside && event.target instanceof HTMLDialogElement && event.detail && isOutside(event.target, event)) event.target.close();
});

/* ---- Menus ------------------------------------------------------------------------------------------------------ */

const anchored = CSS.supports('position-area: block-end');

document.addEventListener('toggle', (event) => {
  const menu = event.target;
  if (!menu.matches?.('.menu[popover]')) return;
  const opener = document.querySelector(`[popovertarget="${CSS.escape(menu.id)}"]`);
  const open = event.newState === 'open';
  opener?.setAttribute('aria-expanded', String(open));
  if (!open || anchored || !opener) return;
  // Engines without anchor positioning: under the button, flush with its end, inside the window.
  const from = opener.getBoundingClientRect();
  const below = from.bottom + menu.offsetHeight + 8 < innerHeight;
  menu.style.top = `${below ? from.bottom : Math.max(from.top - menu.offsetHeight - 8, 0)}px`;
  menu.style.left = `${Math.max(8, Math.min(from.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`;
}, true);

document.addEventListener('keydown', (event) => {
  const menu = event.target.closest?.('.menu:popover-open') ?? document.querySelector('.menu:popover-open');
  if (!menu || !['ArrowDown', 'ArrowUp', 'Home', 'End'].includes(event.key) || event.target.matches('input, select, textarea')) return;
  const items = [...menu.querySelectorAll('a, button')];
  const at = items.indexOf(document.activeElement);
  const next = {ArrowDown: at + 1, ArrowUp: at < 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1}[event.key];
  event.preventDefault();
  items[(next + items.length) % items.length]?.focus();
});

/* ---- Shortcuts -------------------------------------------------------------------------------------------------- */

/** Add a shortcut; keys is one key ("e") or a sequence ("g c"). Returns a function that takes it away again. */
export function register(shortcut) {
  registered.push(shortcut);
  return () => registered.splice(registered.indexOf(shortcut), 1);
}

const isTyping = (target) => target.isContentEditable || target.matches?.('textarea, select, input:not([type="checkbox"], [type="radio"], [type="button"], [type="submit"])');
const isSeen = (element) => element.checkVisibility?.() ?? element.offsetParent !== null;
const labelOf = (element) => (element.dataset.keyLabel || element.dataset.command || element.getAttribute('aria-label') || element.textContent).replace(/\s+/g, ' ').trim();
// Single-letter keys disturb speech input; anyone can switch them off (WCAG 2.1.4).
const areOn = () => localStorage.getItem('shortcuts') !== 'off';

function shortcuts() {
  const marked = [...document.querySelectorAll('[data-key]')].filter(isSeen).map((element) => ({
    keys: element.dataset.key,
    label: labelOf(element),
    run: () => (element.matches('input, textarea, select') ? element.focus() : element.click()),
  }));
  return [...marked, ...registered];
}

let typed = [];
let typedAt = 0;

document.addEventListener('keydown', (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k') {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.keyCode === 229) return;
  if (event.key === 'Escape' && isTyping(event.target) && !document.querySelector('dialog[open]')) event.target.blur();
  if (isTyping(event.target) || document.querySelector('dialog[open]') || !areOn()) return;
  if (event.key === '?') { openSheet(); return; }
  if (event.key.length > 1 && event.key !== 'Enter') return;
  typed = Date.now() - typedAt > SEQUENCE_MS ? [event.key] : [...typed, event.key].slice(-2);
  typedAt = Date.now();
  const pair = typed.join(' ');
  const all = shortcuts();
  const found = all.find(({keys}) => keys === pair) ?? (typed.length > 1 && all.some(({keys}) => keys.startsWith(`${typed[0]} `)) ? null : all.find(({keys}) => keys === event.key));
  if (!found) return;
  // Enter on a focused link or button is theirs.
  if (event.key === 'Enter' && event.target.closest('a, button, summary')) return;
  event.preventDefault();
  typed = [];
  found.run();
});

function openSheet() {
  const sheet = document.getElementById('shortcuts');
  const list = sheet.querySelector('.keys');
  list.querySelectorAll('[data-made]').forEach((row) => row.remove());
  for (const {keys, label} of shortcuts()) {
    const term = document.createElement('dt');
    term.textContent = label;
    const combination = document.createElement('dd');
    combination.append(...keys.split(' ').flatMap((key) => {
      const cap = document.createElement('kbd');
      cap.textContent = key;
      return [cap, ' '];
    }));
    for (const part of [term, combination]) { part.dataset.made = ''; list.append(part); }
  }
  sheet.querySelector('[data-shortcuts-on]').checked = areOn();
  sheet.showModal();
}

document.addEventListener('change', (event) => {
  if ('shortcutsOn' in event.target.dataset) localStorage.setItem('shortcuts', event.target.checked ? 'on' : 'off');
});
document.addEventListener('click', (event) => { if (event.target.closest('[data-open-shortcuts]')) openSheet(); });

/* ---- Palette ---------------------------------------------------------------------------------------------------- */

const palette = document.getElementById('palette');
const input = palette?.querySelector('input');
const list = palette?.querySelector('.palette__list');
let commands = [];
let chosen = 0;

function openPalette() {
  if (!palette || palette.open) return;
  const marked = [...document.querySelectorAll('[data-command]')].map((element) => ({label: labelOf(element), keys: element.dataset.key ?? '', run: () => element.click()}));
  const seen = new Set();
  commands = [...marked, ...registered].filter(({label}) => label && !seen.has(label) && seen.add(label));
  input.value = '';
  draw();
  palette.showModal();
}

/** Rank a label: 0 starts with the words, 1 contains them, 2 has their letters in order, null not at all. */
function rank(label, wanted) {
  const text = label.toLowerCase();
  if (text.startsWith(wanted)) return 0;
  if (text.includes(wanted)) return 1;
  let from = 0;
  for (const letter of wanted) {
    from = text.indexOf(letter, from) + 1;
    if (!from) return null;
  }
  return 2;
}

function matches() {
  const wanted = input.value.trim().toLowerCase();
  const found = commands.map((command) => ({command, place: rank(command.label, wanted)})).filter(({place}) => place !== null);
  const ordered = found.sort((one, other) => one.place - other.place).map(({command}) => command);
  if (!wanted) return ordered;
  const address = `${palette.dataset.search}?q=${encodeURIComponent(input.value.trim())}`;
  return [...ordered, {label: palette.dataset.searchFor.replace('%s', input.value.trim()), keys: '', run: () => location.assign(address)}];
}

function draw() {
  const shown = matches();
  chosen = Math.min(chosen, Math.max(shown.length - 1, 0));
  list.replaceChildren(...shown.map(({label, keys}, index) => {
    const item = document.createElement('li');
    item.className = 'palette__item';
    item.id = `palette-${index}`;
    item.setAttribute('role', 'option');
    item.setAttribute('aria-selected', String(index === chosen));
    const name = document.createElement('span');
    name.textContent = label;
    item.append(name, ...keys.split(' ').filter(Boolean).map((key) => {
      const cap = document.createElement('kbd');
      cap.textContent = key;
      return cap;
    }));
    return item;
  }));
  input.setAttribute('aria-activedescendant', shown.length ? `palette-${chosen}` : '');
  list.children[chosen]?.scrollIntoView({block: 'nearest'});
}

function run(index) {
  const command = matches()[index];
  if (!command) return;
  palette.close();
  command.run();
}

input?.addEventListener('input', () => { chosen = 0; draw(); });
input?.addEventListener('keydown', (event) => {
  if (event.isComposing || event.keyCode === 229) return;
  if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    event.preventDefault();
    const count = list.children.length || 1;
    chosen = (chosen + (event.key === 'ArrowDown' ? 1 : -1) + count) % count;
    draw();
  } else if (event.key === 'Enter') {
    event.preventDefault();
    run(chosen);
  }
});
list?.addEventListener('click', (event) => {
  const item = event.target.closest('.palette__item');
  if (item) run([...list.children].indexOf(item));
});
document.addEventListener('click', (event) => { if (event.target.closest('[data-open-palette]')) openPalette(); });
