/*
 * Makes the console live. The socket only says where something changed; what changed is fetched as rendered rows above
 * the highest number shown, so a lost hint, a restarted server or a sleeping laptop lose nothing. Without a socket the
 * same is asked every five seconds. Without this file the page still works: forms post, a reload shows the news.
 */
import {Line} from './chat-line.js';
import {Outbox, store} from './chat-outbox.js';
import {announce, toast} from './app.js';
import {register} from './keys.js';

const desk = document.getElementById('console');
const words = desk.dataset;
const conversation = Number(words.conversation) || 0;
const messages = document.getElementById('messages');
const scroll = document.getElementById('scroll');
const composer = document.getElementById('composer');
const live = document.getElementById('live');
const csrf = () => JSON.parse(document.body.getAttribute('hx-headers'))['X-CSRFToken'];
const title = document.title;
const POLL_MS = 5000;

let upto = Number(words.upto) || 0;
let isUp = false;

/* ---- The list ------------------------------------------------------------------------------------------------------ */

let listTimer = null;
let listBusy = false;

/** Fetch the list again, at most about once a second however many hints come. */
function refreshList() {
  listTimer ??= setTimeout(async () => {
    listTimer = null;
    if (listBusy) { refreshList(); return; }
    listBusy = true;
    try {
      const list = document.getElementById('list');
      const focused = list.contains(document.activeElement) ? document.activeElement.dataset.fk : null;
      const answer = await fetch(words.listUrl, {headers: {Accept: 'text/html'}});
      if (answer.ok && !answer.redirected) {
        const scrolled = list.querySelector('.panes__body')?.scrollTop ?? 0;
        list.innerHTML = await answer.text();
        list.querySelector('.panes__body').scrollTop = scrolled;
        if (focused) list.querySelector(`[data-fk="${CSS.escape(focused)}"]`)?.focus({preventScroll: true});
        showWaiting();
      }
    } catch { /* the next hint or poll asks again */ }
    listBusy = false;
  }, 800);
}

function showWaiting() {
  const waiting = Number(document.querySelector('#list [data-waiting]')?.dataset.waiting) || 0;
  document.title = waiting ? `(${waiting}) ${title}` : title;
}
showWaiting();

/* ---- The thread ---------------------------------------------------------------------------------------------------- */

let fetching = null;
let again = false;

/** Fetch and place everything above what is shown; a call during a fetch leads to one more fetch. */
function catchUp() {
  if (!conversation) return Promise.resolve();
  if (fetching) { again = true; return fetching; }
  fetching = (async () => {
    const answer = await fetch(`${words.newsUrl}?after=${upto}`, {headers: {Accept: 'text/html'}});
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    place(await answer.text(), Number(answer.headers.get('X-Upto')));
  })().finally(() => {
    fetching = null;
    if (again) { again = false; catchUp().catch(() => {}); }
  });
  return fetching;
}

function place(html, end) {
  const follow = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 120;
  const made = document.createElement('template');
  made.innerHTML = html;
  for (const row of made.content.querySelectorAll('li[data-seq]')) {
    if (messages.querySelector(`[data-seq="${row.dataset.seq}"]`)) continue;
    if (row.dataset.clientId) outbox?.settle(row.dataset.clientId);
    messages.insertBefore(row, messages.querySelector('[data-pending]'));
  }
  upto = Math.max(upto, end);
  document.getElementById('typing').textContent = '';
  if (follow) scroll.scrollTop = scroll.scrollHeight;
  markRead();
}

function markRead() {
  if (conversation && upto && !document.hidden) line.send({type: 'read', conversation, seq: upto});
}

/** Draw who has the conversation, what can be done and what is known anew, unless somebody is busy there. */
async function refreshAbout() {
  if (!conversation) return;
  const answer = await fetch(location.href, {headers: {Accept: 'text/html'}}).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
  for (const id of ['actions', 'about']) {
    const [shown, next] = [document.getElementById(id), fresh.getElementById(id)];
    if (shown && next && !shown.contains(document.activeElement) && !shown.querySelector('details[open]')) shown.replaceWith(document.adoptNode(next));
  }
}

/* ---- Writing ------------------------------------------------------------------------------------------------------- */

const outbox = composer && new Outbox({
  key: `inbox:${conversation}`,
  changed: drawOutbox,
  deliver: async ({id, text, kind}) => {
    const answer = await fetch(composer.action, {
      method: 'POST', body: new URLSearchParams({text, kind, client_id: id}), headers: {Accept: 'application/json', 'X-CSRFToken': csrf()},
    });
    if (!answer.ok) {
      const refused = (await answer.json().catch(() => ({}))).code ?? `http_${answer.status}`;
      throw answer.status < 500 && answer.status !== 429 ? {refused} : new Error(refused);
    }
    await catchUp().catch(() => {});
  },
});

function drawOutbox(entries) {
  messages.querySelectorAll('[data-pending]').forEach((row) => row.remove());
  for (const entry of entries) {
    const row = document.createElement('li');
    row.className = 'message';
    row.dataset.author = entry.kind === 'note' ? 'note' : 'agent';
    row.dataset.state = entry.state === 'failed' ? 'failed' : 'sending';
    row.dataset.pending = entry.id;
    const meta = document.createElement('p');
    meta.className = 'message__meta';
    const said = {sending: words.wordSending, waiting: words.wordWaiting, failed: words.wordFailed}[entry.state];
    meta.textContent = `${entry.kind === 'note' ? `${words.wordNote} · ` : ''}${words.wordYou} · ${said}`;
    const body = document.createElement('div');
    body.className = 'message__body';
    body.textContent = entry.text;
    row.append(meta, body);
    if (entry.state === 'failed') {
      const retry = document.createElement('button');
      retry.type = 'button';
      retry.className = 'button';
      retry.dataset.size = 'small';
      retry.textContent = words.wordRetry;
      retry.onclick = () => outbox.retry(entry.id);
      row.append(retry);
    }
    messages.append(row);
  }
}

if (composer) {
  const text = composer.elements.text;
  const draftKey = `draft:${conversation}`;
  text.value = store.get(draftKey) || text.value;
  text.addEventListener('input', () => {
    if (text.value) store.set(draftKey, text.value); else store.remove(draftKey);
    tellTyping();
  });
  composer.addEventListener('submit', (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    const said = text.value.trim();
    if (!said) return;
    outbox.add(said, {kind: composer.elements.kind.value});
    text.value = '';
    store.remove(draftKey);
    scroll.scrollTop = scroll.scrollHeight;
    text.focus();
  });
  outbox.entries.forEach((entry) => { if (entry.state !== 'failed') entry.state = 'sending'; });
  drawOutbox(outbox.entries);
}

let typedAt = 0;
function tellTyping() {
  if (Date.now() - typedAt < 2500 || composer.elements.kind.value === 'note') return;
  typedAt = Date.now();
  line.send({type: 'typing', conversation});
}

// Labelling must not cost the place in the thread: post in the background, show what was said.
messages?.addEventListener('submit', async (event) => {
  const form = event.target.closest('[data-label-form]');
  if (!form) return;
  event.preventDefault();
  event.stopPropagation();
  const answer = await fetch(form.action, {method: 'POST', body: new URLSearchParams(new FormData(form)), headers: {Accept: 'application/json'}}).catch(() => null);
  if (!answer?.ok) { toast({message: document.body.dataset.wordFailed, tone: 'danger'}); return; }
  const chosen = form.elements.label.selectedOptions[0].textContent;
  const summary = form.closest('details').querySelector('summary');
  summary.textContent = `✓ ${chosen}`;
  form.closest('details').open = false;
  summary.focus();
  announce(chosen);
});

/* ---- The line ------------------------------------------------------------------------------------------------------ */

let typingTimer;
const line = new Line({
  path: '/ws/inbox/',
  opened: () => {
    isUp = true;
    live.textContent = '';
    everything();
  },
  frame: (message) => {
    if (message.type === 'hint' && message.conversation === conversation && message.seq > upto) catchUp().catch(() => {});
    if (message.type === 'change' && message.conversation === conversation) refreshAbout();
    if (message.type === 'hint' || message.type === 'change') refreshList();
    if (message.type === 'typing' && message.conversation === conversation) {
      document.getElementById('typing').textContent = words.wordTyping;
      clearTimeout(typingTimer);
      typingTimer = setTimeout(() => { document.getElementById('typing').textContent = ''; }, 4000);
    }
  },
  state: () => {
    isUp = false;
    live.textContent = words.wordDown;
  },
  beat: () => ({type: 'ping'}),
});

function everything() {
  refreshList();
  catchUp().then(() => { if (!isUp) live.textContent = words.wordDown; }).catch(() => {});
  outbox?.pump();
}

// On a timer too: a hint may be lost without the socket being down.
setInterval(() => { if (!isUp) everything(); }, POLL_MS);
setInterval(() => { if (isUp) catchUp().catch(() => {}); }, POLL_MS * 4);
document.addEventListener('visibilitychange', () => { if (!document.hidden) { everything(); markRead(); } });
markRead();

/* ---- Keys ---------------------------------------------------------------------------------------------------------- */

function move(step) {
  const rows = [...document.querySelectorAll('#list .thread')];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  const from = at >= 0 ? at : rows.findIndex((row) => row.getAttribute('aria-current'));
  rows[Math.max(0, Math.min(rows.length - 1, from + step))].focus();
}

register({keys: 'j', label: words.wordNext, run: () => move(1)});
register({keys: 'k', label: words.wordPrevious, run: () => move(-1)});
register({keys: 'Enter', label: words.wordOpen, run: () => (document.activeElement.matches('.thread') ? document.activeElement : document.querySelector('#list .thread'))?.click()});

function write(kind) {
  if (!composer) return;
  const choice = composer.querySelector(`[name="kind"][value="${kind}"]`);
  choice.checked = true;
  composer.elements.text.focus();
}
register({keys: 'r', label: composer?.querySelector('[value="reply"]').parentElement.textContent.trim() ?? '', run: () => write('reply')});
register({keys: 'n', label: composer?.querySelector('[value="note"]').parentElement.textContent.trim() ?? '', run: () => write('note')});

if (scroll) scroll.scrollTop = scroll.scrollHeight;
