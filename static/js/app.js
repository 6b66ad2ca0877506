/*
 * Behaviour every page shares: telling people what happened, forms, and living with htmx.
 * Each part hangs on a data- attribute and listens on document, so swapped-in markup works without further ado.
 *
 *   import {toast, announce} from '…/app.js';
 *   toast({message: 'Saved', tone: 'success', undo: '/tags/3/restore/'});
 *
 * Keyboard, palette, dialogs and menus are in keys.js.
 */

const words = document.body.dataset;
const TOAST_MS = 8000;
// Quick answers should not flicker: a part looks busy only after this long.
const BUSY_AFTER_MS = 200;

/* ---- Telling ---------------------------------------------------------------------------------------------------- */

/** Have screen readers say the text once. */
export function announce(text) {
  const region = document.getElementById('status');
  region.textContent = '';
  // A changed text is only spoken when the region was seen empty in between.
  setTimeout(() => { region.textContent = text; }, 50);
}

/** Show a passing message; undo is a path that takes it back when posted to. */
export function toast({message, tone = 'info', undo = ''}) {
  const made = document.getElementById('toast-template').content.cloneNode(true).firstElementChild;
  made.dataset.tone = tone;
  made.querySelector('[data-slot="message"]').textContent = message;
  const form = made.querySelector('form');
  if (undo) form.action = undo; else form.remove();
  document.getElementById('toasts').append(made);
  letGo(made);
}

/** Remove a toast after its time, but never while someone points at it or has focus in it. */
function letGo(shown) {
  setTimeout(() => {
    if (!shown.isConnected) return;
    if (shown.matches(':hover, :focus-within')) letGo(shown); else shown.remove();
  }, TOAST_MS);
}

document.querySelectorAll('#toasts > .toast').forEach(letGo);

document.addEventListener('click', (event) => {
  event.target.closest('[data-dismiss]')?.closest('.toast, .notice')?.remove();
});

// Undo posts in the background, then shows the page as it is now.
document.addEventListener('submit', async (event) => {
  const form = event.target.closest('.toast form');
  if (!form) return;
  event.preventDefault();
  const token = JSON.parse(document.body.getAttribute('hx-headers'))['X-CSRFToken'];
  const answer = await fetch(form.action, {method: 'POST', headers: {'X-CSRFToken': token}}).catch(() => null);
  if (answer?.ok) location.reload(); else toast({message: words.wordFailed, tone: 'danger'});
});

/* ---- Forms ------------------------------------------------------------------------------------------------------ */

/** Ask in our own dialog; resolves to true when the person agrees. */
export function confirmed({question, action, kind}) {
  const dialog = document.getElementById('confirm');
  dialog.querySelector('[data-slot="question"]').textContent = question;
  const yes = dialog.querySelector('[value="yes"]');
  yes.textContent = action || yes.dataset.usual;
  yes.dataset.kind = kind || 'primary';
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), {once: true});
  });
}

document.addEventListener('submit', async (event) => {
  const form = event.target;
  if (event.defaultPrevented || !form.dataset.confirm || form.dataset.agreed) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const {confirm: question, confirmAction: action, confirmKind: kind} = form.dataset;
  if (!await confirmed({question, action, kind})) return;
  form.dataset.agreed = 'yes';
  form.requestSubmit(event.submitter);
  delete form.dataset.agreed;
}, true);

document.addEventListener('htmx:confirm', async (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  const {confirmAction: action, confirmKind: kind} = event.detail.elt.dataset;
  if (await confirmed({question: event.detail.question, action, kind})) event.detail.issueRequest(true);
});

// A second press on a slow line must not send twice. The page cache of the browser brings forms back as they were left.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== 'post' || 'repeat' in form.dataset || form.closest('dialog[open]')?.id === 'confirm') return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = 'yes';
  event.submitter?.setAttribute('aria-busy', 'true');
});
window.addEventListener('pageshow', () => {
  document.querySelectorAll('form[data-sent]').forEach((form) => { delete form.dataset.sent; });
  document.querySelectorAll('.button[aria-busy]').forEach((button) => button.removeAttribute('aria-busy'));
});

// Enter sends, Shift+Enter breaks the line. While an input method composes, Enter belongs to it: 229 is what older
// engines report for such a key, isComposing what newer ones do.
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  const box = event.target.closest?.('[data-composer]');
  if (!box) return;
  event.preventDefault();
  if (box.value.trim()) box.form.requestSubmit();
});

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || event.isComposing) return;
  const cancel = event.target.closest?.('form[data-inline]')?.querySelector('[data-cancel]');
  if (cancel) { event.preventDefault(); cancel.click(); }
});

// A slider says its share in the <output for="…"> beside it.
document.addEventListener('input', (event) => {
  const shown = event.target.type === 'range' && document.querySelector(`output[for="${CSS.escape(event.target.id)}"]`);
  if (shown) shown.value = `${Math.round(event.target.valueAsNumber * 100)}%`;
});

document.addEventListener('change', (event) => {
  const box = event.target;
  const form = box.form;
  if (!form) return;
  const name = box.dataset.checkAll ?? box.name;
  const boxes = [...form.querySelectorAll(`input[type="checkbox"][name="${CSS.escape(name)}"]`)];
  if (box.dataset.checkAll) boxes.forEach((each) => { each.checked = box.checked; });
  const count = boxes.filter((each) => each.checked).length;
  form.querySelectorAll('[data-selected-count]').forEach((told) => { told.textContent = count; });
  const all = form.querySelector(`[data-check-all="${CSS.escape(name)}"]`);
  if (all) { all.checked = count === boxes.length; all.indeterminate = count > 0 && count < boxes.length; }
  if ('submitOnChange' in box.dataset) form.requestSubmit();
});

for (const [kind, state] of [['dragover', 'over'], ['dragleave', ''], ['drop', '']]) {
  document.addEventListener(kind, (event) => {
    const zone = event.target.closest?.('.dropzone');
    if (!zone) return;
    event.preventDefault();
    zone.dataset.state = state;
    const input = zone.querySelector('input[type="file"]');
    if (kind !== 'drop' || !input || !event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
  });
}

document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const source = button.dataset.copy.startsWith('#') ? document.querySelector(button.dataset.copy) : null;
  await navigator.clipboard.writeText(source ? source.value ?? source.textContent.trim() : button.dataset.copy);
  toast({message: words.wordCopied, tone: 'success'});
});

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-show-pane]');
  if (!button) return;
  const panes = button.closest('.panes');
  panes.dataset.pane = button.dataset.showPane;
  panes.querySelector(`.panes__${button.dataset.showPane}`)?.querySelector('h2, [tabindex], a, button')?.focus();
});

// The folded rail and the height of rows are remembered in cookies, so the server prints them so and nothing jumps.
const remember = (name, value) => { document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax`; };

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-dense-rows]');
  if (!button) return;
  const shell = document.querySelector('.shell');
  const dense = shell.dataset.density !== 'compact';
  if (dense) shell.dataset.density = 'compact'; else delete shell.dataset.density;
  button.setAttribute('aria-pressed', String(dense));
  remember('rows', dense ? 'compact' : 'usual');
});

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-fold-rail]');
  if (!button) return;
  const shell = button.closest('.shell');
  const folded = shell.dataset.rail !== 'folded';
  shell.dataset.rail = folded ? 'folded' : 'open';
  button.setAttribute('aria-expanded', String(!folded));
  remember('rail', shell.dataset.rail);
});

/* ---- htmx ------------------------------------------------------------------------------------------------------- */

const waiting = new WeakMap();
const inFlight = new WeakSet();

// htmx would queue a second press and send it after the first answer; a posting control is deaf meanwhile.
for (const kind of ['submit', 'click']) {
  document.addEventListener(kind, (event) => {
    const sender = event.target.closest?.(kind === 'submit' ? 'form[hx-post]' : ':is(a, button)[hx-post]');
    if (!sender || !inFlight.has(sender) || 'repeat' in sender.dataset) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
}

// Filters nobody set have no place in an address that people keep and send around.
document.addEventListener('htmx:configRequest', (event) => {
  const {verb, formData, elt} = event.detail;
  if (verb !== 'get' || !elt.matches('form.filters')) return;
  for (const name of [...formData.keys()]) if (formData.getAll(name).every((value) => value === '')) formData.delete(name);
});

// Polling parts rest while nobody looks.
document.addEventListener('htmx:beforeRequest', (event) => {
  const {elt, target} = event.detail;
  if (document.hidden && 'poll' in elt.dataset) { event.preventDefault(); return; }
  target?.setAttribute('aria-busy', 'true');
  inFlight.add(elt);
  waiting.set(event.detail.xhr, setTimeout(() => { if (target) target.dataset.state = 'loading'; }, BUSY_AFTER_MS));
});

document.addEventListener('htmx:afterRequest', (event) => {
  const {elt, target, xhr} = event.detail;
  clearTimeout(waiting.get(xhr));
  inFlight.delete(elt);
  for (const part of [target, elt]) {
    if (!part) continue;
    part.removeAttribute('aria-busy');
    if (part.dataset.state === 'loading') delete part.dataset.state;
    const form = part.closest('form');
    if (form) delete form.dataset.sent;
  }
  document.querySelectorAll('.button[aria-busy]').forEach((button) => button.removeAttribute('aria-busy'));
});

// htmx 2 drops focus to <body> when the swapped part held it. Remember the control by id or data-fk and give it back;
// a form that came back with errors takes focus to the first of them.
let focused = null;
const keyOf = (element) => element?.id ? `#${CSS.escape(element.id)}` : element?.dataset?.fk ? `[data-fk="${CSS.escape(element.dataset.fk)}"]` : null;

document.addEventListener('htmx:beforeSwap', (event) => {
  // An expired session answers with the login page: show it whole, not inside a panel.
  if (new URL(event.detail.xhr.responseURL || location.href).pathname === words.login) {
    event.detail.shouldSwap = false;
    location.reload();
    return;
  }
  const active = document.activeElement;
  const caret = active && 'selectionStart' in active && /^(text|search|textarea)$/.test(active.type) ? active.selectionStart : null;
  focused = active && event.detail.target.contains(active) ? {key: keyOf(active), caret, value: active.value} : null;
});

document.addEventListener('htmx:afterSettle', (event) => {
  const part = event.detail.elt;
  const spoken = part.matches?.('[data-announce]') ? part : part.querySelector?.('[data-announce]');
  if (spoken) announce(spoken.dataset.announce || spoken.textContent.trim());
  const wrong = part.querySelector?.('[aria-invalid="true"]');
  const left = !document.activeElement || document.activeElement === document.body;
  if (wrong && left) { wrong.focus(); focused = null; return; }
  if (!focused || !left) return;
  const again = focused.key && document.querySelector(focused.key);
  const heading = part.querySelector?.('h1, h2, h3, [data-focus]');
  if (again) {
    again.focus({preventScroll: true});
    if (focused.caret !== null && 'setSelectionRange' in again) again.setSelectionRange(focused.caret, focused.caret);
  } else if (heading) {
    heading.tabIndex = -1;
    heading.focus({preventScroll: true});
  }
  focused = null;
});

/** Put the panel's own error note in place of its content, with a button that asks again. */
function panelFailed(panel, reference) {
  const note = document.getElementById('panel-error-template').content.cloneNode(true);
  note.querySelector('[data-slot="reference"]').textContent = reference;
  panel.querySelector('.panel__body').replaceChildren(note);
}

function failed(event, message, reference = '') {
  const panel = event.detail.elt.closest('.panel');
  if (panel?.contains(event.detail.target)) panelFailed(panel, reference);
  // Polling fails in silence: it tries again by itself.
  else if (!('poll' in event.detail.elt.dataset)) toast({message: [message, reference].filter(Boolean).join(' '), tone: 'danger'});
}

document.addEventListener('htmx:responseError', (event) => {
  const {xhr} = event.detail;
  // 4xx bodies are words for the person and are swapped in place.
  if (xhr.status >= 500) failed(event, words.wordFailed, xhr.getResponseHeader('X-Request-ID') ?? '');
});
document.addEventListener('htmx:sendError', (event) => failed(event, words.wordOffline));
document.addEventListener('htmx:timeout', (event) => failed(event, words.wordOffline));

document.addEventListener('click', (event) => {
  const panel = event.target.closest('[data-retry]')?.closest('.panel');
  if (panel) window.htmx.trigger(panel, 'retry');
});

document.addEventListener('toast', (event) => toast(event.detail));
document.addEventListener('announce', (event) => announce(event.detail.value ?? event.detail));
