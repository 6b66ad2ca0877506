/*
 * Makes the console live. The socket only says where something changed; what changed is fetched as rendered rows above
 * the highest number shown, so a lost hint, a restarted server or a sleeping laptop lose nothing. Without a socket the
 * same is asked every five seconds. Without this file the page still works: forms post, a reload shows the news.
 */
import {Line, Outbox, store} from './chat-wire.js';
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
// How things stood with what the page offers to do; '' asks for it anew.
let stands = words.stands;
let isUp = false;

const post = async (url, values = {}, more = {}) => {
  const answer = await fetch(url, {
    method: 'POST', body: new URLSearchParams(values), headers: {Accept: 'application/json', 'X-CSRFToken': csrf()}, ...more,
  });
  // Whoever is no longer logged in is led to the login page, which answers 200 and has done nothing.
  if (isLogin(answer)) { location.reload(); throw new Error('logged out'); }
  return answer;
};
const isLogin = (answer) => answer.redirected && new URL(answer.url).pathname === document.body.dataset.login;
const getJson = async (url) => {
  const answer = await fetch(url, {headers: {Accept: 'application/json'}});
  if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
  return answer.json();
};

/** Fill an element with a part of the page from the server; a failure leaves a button that asks again. */
async function fill(target, url) {
  target.setAttribute('aria-busy', 'true');
  const answer = await fetch(url, {headers: {Accept: 'text/html', 'HX-Request': 'true'}}).catch(() => null);
  target.removeAttribute('aria-busy');
  if (answer && isLogin(answer)) { location.reload(); return false; }
  if (!answer?.ok) {
    const retry = document.createElement('button');
    retry.type = 'button';
    retry.className = 'button';
    retry.dataset.size = 'small';
    retry.textContent = words.wordRetry;
    retry.onclick = () => fill(target, url);
    target.replaceChildren(retry);
    return false;
  }
  target.innerHTML = await answer.text();
  return true;
}

// The rail's counter and the jobs' ring are written for htmx, which this page does without.
for (const part of document.querySelectorAll('[data-poll][hx-get]')) {
  const seconds = Number(/every (\d+)s/.exec(part.getAttribute('hx-trigger'))?.[1]) || 0;
  const ask = async () => {
    if (document.hidden) return;
    const answer = await fetch(part.getAttribute('hx-get'), {headers: {Accept: 'text/html', 'HX-Request': 'true'}}).catch(() => null);
    if (answer?.ok && !answer.redirected) part.innerHTML = await answer.text();
  };
  setTimeout(ask, 1000);
  if (seconds) setInterval(ask, seconds * 1000);
}

/* ---- What this browser prefers ------------------------------------------------------------------------------------- */

const prefers = (name) => (store.get(`inbox:${name}`) ?? (name === 'hold-replies' ? 'on' : 'off')) === 'on';
document.querySelectorAll('[data-preference]').forEach((box) => { box.checked = prefers(box.dataset.preference); });
document.addEventListener('change', async (event) => {
  const name = event.target.dataset?.preference;
  if (!name) return;
  if (name === 'chat-notice' && event.target.checked && await Notification.requestPermission() !== 'granted') event.target.checked = false;
  store.set(`inbox:${name}`, event.target.checked ? 'on' : 'off');
});

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

let waitingBefore;
function showWaiting() {
  const waiting = Number(document.querySelector('#list [data-waiting]')?.dataset.waiting) || 0;
  document.title = waiting ? `(${waiting}) ${title}` : title;
  // Where websockets are blocked no hint tells of a new message; the count does.
  if (!isUp && waiting > waitingBefore) alertTo('visitor');
  waitingBefore = waiting;
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
    tick(Number(answer.headers.get('X-Got')), Number(answer.headers.get('X-Read')));
    if (stands !== answer.headers.get('X-Stands')) {
      stands = answer.headers.get('X-Stands');
      refreshAbout();
    }
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

/** Say under one's own lines how far they came. */
function tick(got, read) {
  for (const row of messages.querySelectorAll('li:is([data-author="agent"], [data-author="bot"])[data-seq]')) {
    const seq = Number(row.dataset.seq);
    const told = seq <= read ? words.wordRead : seq <= got ? words.wordDelivered : '';
    const shown = row.querySelector('[data-tick]');
    if (shown && told && shown.textContent !== told) shown.textContent = told;
  }
}

function markRead() {
  if (conversation && upto && !document.hidden) line.send({type: 'read', conversation, seq: upto});
}

/** Draw who has the conversation, what can be done and what is known anew, unless somebody is busy there. */
async function refreshAbout() {
  if (!conversation) return;
  refreshSide();
  const answer = await fetch(location.href, {headers: {Accept: 'text/html'}}).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const [shown, next] = [document.getElementById('actions'), fresh.getElementById('actions')];
  if (shown && next && !shown.contains(document.activeElement) && !shown.querySelector(':popover-open')) shown.replaceWith(document.adoptNode(next));
  // Somebody is busy there: the timer asks again.
  else if (shown) stands = '';
}

const about = document.getElementById('about');
// Panels far down the pane are asked for when somebody scrolls to them.
const comingIntoSight = new IntersectionObserver((entries) => {
  for (const {isIntersecting, target} of entries) {
    if (!isIntersecting) continue;
    comingIntoSight.unobserve(target);
    fill(target, target.closest('[data-part]').dataset.part);
  }
});

async function refreshSide() {
  if (!about || about.querySelector('details[open]')) return;
  const focused = about.contains(document.activeElement) ? document.activeElement.id : '';
  if (focused && document.activeElement.value) return;
  const parts = new Map([...about.querySelectorAll('[data-part]')].map((part) => [part.dataset.part, part.querySelector('[data-part-body]')]));
  if (!await fill(about, words.aboutUrl)) return;
  for (const part of about.querySelectorAll('[data-part]')) {
    const body = part.querySelector('[data-part-body]');
    // What other parts of the house say does not change with every line; load it once.
    if (parts.has(part.dataset.part)) body.replaceWith(parts.get(part.dataset.part)); else comingIntoSight.observe(body);
  }
  if (focused) document.getElementById(focused)?.focus({preventScroll: true});
}
if (about) refreshSide();

// Small settings beside the thread are saved without leaving it.
document.addEventListener('submit', async (event) => {
  const form = event.target.closest('[data-background]');
  if (!form) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const values = Object.fromEntries(new FormData(form, event.submitter));
  const answer = await post(form.action, values).catch(() => null);
  if (!answer?.ok) toast({message: (await answer?.json().catch(() => null))?.message ?? document.body.dataset.wordFailed, tone: 'danger'});
  form.reset();
  await refreshSide();
  refreshList();
}, true);

/* ---- Writing ------------------------------------------------------------------------------------------------------- */

const HOLD_MS = 5000;
const text = composer?.elements.text;
const kindOf = () => composer.elements.kind.value;

const outbox = composer && new Outbox({
  // Of this person: who logs in next on the same machine must not send it as theirs.
  key: `inbox:${words.user}:${conversation}`,
  changed: () => drawOutbox(),
  deliver: async (entry) => {
    const values = {text: entry.text, kind: entry.kind, client_id: entry.id, seen: entry.seen ?? upto, saved: entry.saved ?? ''};
    if (entry.anyway) values.anyway = 'yes';
    // keepalive: the last reply is on its way while the page is already being left.
    const answer = await post(composer.action, values, {keepalive: true});
    if (!answer.ok) {
      const told = await answer.json().catch(() => ({}));
      // After a login in another tab this page's token is out of date: a fresh page sends what is kept, once more.
      if (answer.status === 403 && !told.code && !entry.renewed) {
        entry.renewed = true;
        outbox.keep(entry);
        location.reload();
        throw new Error('page out of date');
      }
      entry.by = told.by;
      if (told.code === 'reply_overtaken') catchUp().catch(() => {});
      const refused = told.code ?? `http_${answer.status}`;
      throw answer.status < 500 && answer.status !== 429 ? {refused} : new Error(refused);
    }
    await catchUp().catch(() => {});
  },
});

/** A reply that waits five seconds for second thoughts before it goes into the outbox. */
let held = null;

function hold(entry) {
  flush();
  if (entry.kind === 'note' || !prefers('hold-replies')) { outbox.add(entry.text, entry); return; }
  held = {...entry, timer: setTimeout(flush, HOLD_MS)};
  drawOutbox();
}

function flush() {
  if (!held) return;
  const {timer, ...entry} = held;
  clearTimeout(timer);
  held = null;
  outbox.add(entry.text, entry);
}

function undo() {
  if (held) {
    clearTimeout(held.timer);
    text.value = text.value ? `${held.text}\n${text.value}` : held.text;
    held = null;
    drawOutbox();
    keepDraft();
    text.focus();
    return;
  }
  document.querySelector('#toasts .toast:last-child form button')?.click();
}

function button(label, run) {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = 'button';
  made.dataset.size = 'small';
  made.textContent = label;
  made.onclick = run;
  return made;
}

function drawOutbox() {
  messages.querySelectorAll('[data-pending]').forEach((row) => row.remove());
  for (const entry of [...outbox.entries, ...(held ? [{...held, id: 'held', state: 'held'}] : [])]) {
    const row = document.createElement('li');
    row.className = 'message';
    row.dataset.author = entry.kind === 'note' ? 'note' : 'agent';
    row.dataset.state = entry.state === 'failed' ? 'failed' : 'sending';
    row.dataset.pending = entry.id;
    const meta = document.createElement('p');
    meta.className = 'message__meta';
    const said = {sending: words.wordSending, waiting: words.wordWaiting, failed: words.wordFailed, held: words.wordHeld}[entry.state];
    meta.textContent = `${entry.kind === 'note' ? `${words.wordNote} · ` : ''}${words.wordYou} · ${said}`;
    const body = document.createElement('div');
    body.className = 'message__body';
    body.textContent = entry.text;
    row.append(meta, body);
    if (entry.state === 'held') row.append(button(`${words.wordUndo} (u)`, undo));
    if (entry.state === 'failed' && entry.reason === 'reply_overtaken') {
      const why = document.createElement('p');
      why.className = 'message__meta';
      why.dataset.overtaken = '';
      why.setAttribute('role', 'alert');
      why.textContent = words.wordOvertaken.replace('%s', entry.by || '…');
      const back = button(words.wordUndo, () => { outbox.settle(entry.id); text.value = entry.text; text.focus(); });
      row.append(why, button(words.wordAnyway, () => { outbox.entries.find(({id}) => id === entry.id).anyway = true; outbox.retry(entry.id); }), back);
    } else if (entry.state === 'failed') row.append(button(words.wordRetry, () => outbox.retry(entry.id)));
    messages.append(row);
  }
}

if (composer) {
  const draftKey = `draft:${words.user}:${conversation}`;
  // What this browser kept is newer than what the server got from it; without one the server's draft is in the box already.
  text.value = store.get(draftKey) || text.value;
  text.addEventListener('input', () => {
    if (text.value) store.set(draftKey, text.value); else store.remove(draftKey);
    keepDraft();
    tellTyping();
    offer();
  });
  composer.addEventListener('submit', (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    const said = text.value.trim();
    if (!said) return;
    text.value = '';
    store.remove(draftKey);
    clearTimeout(draftTimer);
    document.getElementById('draft-state').textContent = '';
    hold({text: said, kind: kindOf(), seen: upto, saved: usedSaved()});
    closeOffers();
    scroll.scrollTop = scroll.scrollHeight;
    text.focus();
  });
  outbox.entries.forEach((entry) => { if (entry.state !== 'failed') entry.state = 'sending'; });
  drawOutbox();
  addEventListener('pagehide', flush);
  // Closing, snoozing or a macro come after what was just written, not before it.
  document.addEventListener('submit', async (event) => {
    const form = event.target.closest('[data-flush-replies]');
    if (!form || !(held || outbox.entries.some(({state}) => state === 'sending')) || form.dataset.flushed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    flush();
    for (let tries = 0; tries < 50 && outbox.entries.some(({state}) => state === 'sending'); tries++) await new Promise((done) => { setTimeout(done, 60); });
    form.dataset.flushed = 'yes';
    form.requestSubmit(event.submitter);
    delete form.dataset.flushed;
  }, true);
}

let draftTimer;
function keepDraft() {
  clearTimeout(draftTimer);
  draftTimer = setTimeout(async () => {
    const answer = await post(words.draftUrl, {text: text.value, kind: kindOf()}).catch(() => null);
    const {kept} = answer?.ok ? await answer.json() : {};
    document.getElementById('draft-state').textContent = kept ? words.wordKept : '';
  }, 1000);
}

let typedAt = 0;
function tellTyping() {
  if (Date.now() - typedAt < 2500) return;
  typedAt = Date.now();
  if (kindOf() !== 'note') line.send({type: 'typing', conversation});
  sayPresent();
}

/* ---- Saved replies after a slash, colleagues after an @, macros ------------------------------------------------------ */

// Fetched when somebody first asks for one: most chats are answered without.
let offering = null;
const offers = () => {
  offering ??= import(words.offersModule).then(({Offers}) => new Offers({text, words, getJson, kindOf}));
  return offering;
};
/** What was put in from the saved replies, counted with the reply that is sent. */
let usedSaved = () => '';
function offer() {
  if (offering || /[/@]/.test(text.value)) offers().then((made) => { usedSaved = made.takeSaved; made.offer(); }).catch(() => { offering = null; });
}
function closeOffers() { offering?.then((made) => made.close()); }

document.addEventListener('toggle', async (event) => {
  const menu = event.target;
  if (event.newState !== 'open' || !['macro-menu', 'snooze-menu'].includes(menu.id)) return;
  if (menu.id === 'macro-menu') await offers().then((made) => made.fillMacros(menu)).catch(() => { offering = null; });
  menu.querySelector('button, a')?.focus();
}, true);

/* ---- The assistant's suggestion ------------------------------------------------------------------------------------ */

// Insert puts it into the composer, a new message asks for the next one. The card is written for htmx, which this page
// does without: it is replaced by what its address answers, and asked for again while it is being prepared.
async function proposed(card, url, options = {}) {
  const answer = await fetch(url, {...options, headers: {Accept: 'text/html', 'HX-Request': 'true', 'X-CSRFToken': csrf()}}).catch(() => null);
  if (!answer?.ok || answer.redirected || !card.isConnected) return;
  const made = document.createElement('template');
  made.innerHTML = await answer.text();
  const next = made.content.querySelector('#assist');
  if (!next) return;
  // Asked for less and less often: where no worker answers it would be asked all day.
  const tries = Number(card.dataset.tries ?? 0);
  next.dataset.tries = tries + 1;
  card.replaceWith(next);
  const delay = /load delay:(\d+)ms/.exec(next.getAttribute('hx-trigger') ?? '')?.[1];
  if (delay) setTimeout(() => { if (next.isConnected) proposed(next, next.getAttribute('hx-get')); }, Number(delay) * Math.min(2 ** tries, 20));
}
{
  const card = document.getElementById('assist');
  if (card) proposed(card, card.getAttribute('hx-get'));
}
document.addEventListener('submit', (event) => {
  const card = event.target.closest('#assist');
  if (!card) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  proposed(card, event.target.action, {method: 'POST'});
}, true);

document.addEventListener('click', (event) => {
  if (!event.target.closest('[data-insert]')) return;
  const card = event.target.closest('[data-suggestion]');
  const text = document.getElementById('text');
  if (!card || !text) return;
  const said = card.querySelector('[data-suggested-text]').content.textContent;
  // What somebody has begun to write is never replaced.
  text.value = text.value.trim() ? `${text.value.trimEnd()}\n${said}` : said;
  text.dispatchEvent(new Event('input', {bubbles: true}));
  text.focus();
});

let newest = messages?.lastElementChild?.dataset.seq;
if (messages) {
  new MutationObserver(() => {
    const last = [...messages.querySelectorAll('[data-seq]')].at(-1)?.dataset.seq;
    if (last === newest) return;
    newest = last;
    const card = document.getElementById('assist');
    // Greyed at once: what it answers is no longer the newest message.
    card?.querySelector('[data-suggestion]')?.setAttribute('aria-disabled', 'true');
    if (card) proposed(card, card.getAttribute('hx-get'));
  }).observe(messages, {childList: true});
}

/* A file from the composer; the console learns of the message as of any other. */
const attach = document.getElementById('attach');
attach?.addEventListener('change', async () => {
  const told = document.getElementById('draft-state');
  for (const file of attach.files) {
    if (told) told.textContent = attach.dataset.wordSending;
    const answer = await fetch(attach.dataset.url, {
      method: 'POST', body: file,
      headers: {
        Accept: 'application/json', 'Content-Type': 'application/octet-stream', 'X-CSRFToken': JSON.parse(document.body.getAttribute('hx-headers'))['X-CSRFToken'],
        'X-Client-Id': [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join(''), 'X-File-Name': encodeURIComponent(file.name),
      },
    }).catch(() => null);
    const said = answer?.ok ? {} : await answer?.json().catch(() => ({})) ?? {};
    if (told) told.textContent = answer?.ok ? '' : said.message || attach.dataset.wordFailed;
  }
  attach.value = '';
});

/* ---- Who else is here ---------------------------------------------------------------------------------------------- */

const presentNote = document.getElementById('present');

function showPresent(people) {
  if (!presentNote) return;
  const said = people.map(({name, replying}) => (replying ? words.wordReplying : words.wordViewing).replace('%s', name)).join(' · ');
  presentNote.hidden = !said;
  presentNote.dataset.tone = people.some(({replying}) => replying) ? 'warning' : 'info';
  if (presentNote.textContent !== said) presentNote.textContent = said;
}

function showFaces(row, people) {
  const place = document.querySelector(`#list [data-faces="${row}"]`);
  place?.replaceChildren(...people.map(({name, initials}) => {
    const face = document.createElement('span');
    face.className = 'avatar';
    face.dataset.size = 'small';
    face.title = name;
    face.textContent = initials;
    return face;
  }));
}

async function sayPresent() {
  if (!conversation || document.hidden) { post(words.hereUrl).catch(() => {}); return; }
  const doing = composer && kindOf() !== 'note' && text.value && Date.now() - typedAt < 10000 ? 'replying' : 'viewing';
  const answer = await post(words.presentUrl, {doing}).catch(() => null);
  if (answer?.ok) showPresent((await answer.json()).people);
}
setInterval(sayPresent, 15000);
addEventListener('pagehide', () => { if (conversation) post(words.presentUrl, {doing: 'gone'}, {keepalive: true}).catch(() => {}); });

function alertTo(author) {
  if (author !== 'visitor' || !document.hidden) return;
  if (prefers('chat-sound')) {
    const sound = new AudioContext();
    const tone = sound.createOscillator();
    const volume = sound.createGain();
    volume.gain.value = 0.05;
    tone.connect(volume).connect(sound.destination);
    tone.start();
    tone.stop(sound.currentTime + 0.15);
    tone.onended = () => sound.close();
  }
  if (prefers('chat-notice') && window.Notification?.permission === 'granted') new Notification(document.title, {tag: 'inbox'});
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
    sayPresent();
  },
  frame: (message) => {
    if (message.type === 'hint' && message.conversation === conversation && message.seq > upto) catchUp().catch(() => {});
    if (message.type === 'change' && message.conversation === conversation) { stands = ''; catchUp().catch(() => {}); }
    if (message.type === 'hint' || message.type === 'change') refreshList();
    if (message.type === 'hint') alertTo(message.author);
    if (message.type === 'present') {
      const others = message.people.filter(({id}) => id !== Number(words.user));
      if (message.conversation === conversation) showPresent(others);
      showFaces(message.conversation, others);
    }
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
document.addEventListener('visibilitychange', () => { if (!document.hidden) { everything(); markRead(); sayPresent(); } });
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

register({keys: 'u', label: words.wordUndo, run: undo});

/** Go to the pane on the left or right; where only one is shown, show it. */
function pane(step) {
  const names = ['list', 'main', 'side'].filter((name) => desk.querySelector(`.panes__${name}`));
  const inside = names.findIndex((name) => desk.querySelector(`.panes__${name}`).contains(document.activeElement));
  const name = names[Math.max(0, Math.min(names.length - 1, (inside < 0 ? names.indexOf(desk.dataset.pane) : inside) + step))];
  desk.dataset.pane = name;
  desk.querySelector(`.panes__${name}`).querySelector(name === 'list' ? '.thread[aria-current], .thread, .panes__body' : name === 'main' ? '#scroll, .panes__body' : '.panes__body')?.focus();
}
register({keys: '[', label: words.wordPaneLeft, run: () => pane(-1)});
register({keys: ']', label: words.wordPaneRight, run: () => pane(1)});

if (scroll) {
  // Come for earlier messages: stay at the one that was the first.
  const first = /^#\d+$/.test(location.hash) && messages.querySelector(`[data-seq="${location.hash.slice(1)}"]`);
  const mark = messages.querySelector('[data-new]');
  if (first) first.scrollIntoView({block: 'start'});
  else if (mark) mark.scrollIntoView({block: 'center'}); else scroll.scrollTop = scroll.scrollHeight;
}
