/*
 * The visitor's chat. The server's rows are the truth: this page remembers the highest number it was told about and
 * asks for everything above it on connecting, on a gap and on a timer. Where websockets are blocked it polls.
 */
import {Line, Outbox, newId, store} from './chat-wire.js';

const page = document.body.dataset;
const words = JSON.parse(document.getElementById('words').textContent);
const part = (id) => document.getElementById(id);
const log = part('log');
const text = part('text');
const lang = document.documentElement.lang;
const VISITOR_KEY = `visitor:${page.key}`;
const TALK_KEY = `talk:${page.key}`;
const DRAFT_KEY = `draft:${page.key}`;
const POLL_MS = 5000;
const RENEW_MS = 50 * 60000;

let visitorId = store.get(VISITOR_KEY) || '';
let token = '';
let identity = null;
let conversation = '';
// The conversation the socket's other end is in, as far as is known here: a request can begin one it has not heard of.
let socketIn = '';
// How often the socket has said how things stand: whether it did while a request was under way.
let statesHeard = 0;
let upto = 0;
let state = {state: 'bot', person: '', csat: null, asks: false, read: 0, got: 0};
let isUp = false;
const shown = new Map();
const pending = new Map();
const acknowledged = new Map();

/* ---- The shop's colour: darkened until white text on it reaches 4.5:1 --------------------------------------------- */

function luminance([r, g, b]) {
  const [x, y, z] = [r, g, b].map((value) => { const part = value / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
if (/^#[0-9a-f]{6}$/i.test(page.colour)) {
  let rgb = [1, 3, 5].map((at) => parseInt(page.colour.slice(at, at + 2), 16));
  while (1.05 / (luminance(rgb) + 0.05) < 4.5) rgb = rgb.map((value) => Math.floor(value * 0.95));
  document.body.style.setProperty('--brand', `rgb(${rgb.join(' ')})`);
  document.body.style.setProperty('--on-brand', '#fff');
}

/* ---- Drawing ------------------------------------------------------------------------------------------------------ */

function element(name, className, content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

const clock = new Intl.DateTimeFormat(lang, {hour: '2-digit', minute: '2-digit'});

function author(item) {
  if (item.author === 'bot') return words.assistant;
  if (item.author === 'agent') return item.name ? words.person.replace('{name}', item.name) : words.agent;
  return words.you;
}

function systemText(item) {
  if (item.kind === 'joined') return words.joined.replace('{name}', item.data.name ?? '');
  return {closed: words.closed, reopened: words.reopened}[item.kind] ?? item.text;
}

function draw(item) {
  const row = element('li', 'line');
  row.dataset.author = item.author;
  if (item.author === 'system') {
    row.append(element('div', 'line__body', systemText(item)));
    return row;
  }
  const meta = element('p', 'line__meta', `${author(item)} · ${clock.format(new Date(item.at))}`);
  const body = element('div', 'line__body', item.data?.file ? undefined : item.text);
  if (item.data?.file) body.append(fileLink(item.data.file));
  if (item.data?.url) {
    const source = element('p', 'line__source', `${words.source} `);
    const link = element('a', '', item.data.title);
    // Only our own article pages: a path, never another scheme.
    if (item.data.url.startsWith('/')) { link.href = item.data.url; link.target = '_blank'; link.rel = 'noopener'; }
    source.append(link, ` · ${words.version.replace('{n}', item.data.version)}`);
    body.append(source);
  }
  if (item.data?.choices) body.append(choices(item.data.choices));
  row.append(meta, body);
  return row;
}

/** A picture is shown, anything else is a download; only ever a path of our own. */
function fileLink({url, name, type}) {
  const link = element('a', 'line__file', name);
  if (!url?.startsWith('/files/')) return link;
  link.href = url;
  link.target = '_blank';
  link.rel = 'noopener';
  if (/^image\/(png|jpeg|gif|webp)$/.test(type)) {
    const picture = element('img', 'line__picture');
    picture.src = url;
    picture.alt = name;
    picture.loading = 'lazy';
    link.replaceChildren(picture);
  }
  return link;
}

function choices(offered) {
  const group = element('div', 'line__choices');
  for (const {label, name} of [...offered, {label: 'out_of_scope', name: words.none}]) {
    const button = element('button', '', name);
    button.type = 'button';
    button.onclick = () => say(name, label);
    group.append(button);
  }
  return group;
}

/** Keep the view at the end unless the reader scrolled up. */
function atEnd(change) {
  const follow = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  change();
  if (follow) log.scrollTop = log.scrollHeight;
}

function place(item) {
  if (shown.has(item.seq)) return;
  const row = draw(item);
  shown.set(item.seq, row);
  row.dataset.seq = item.seq;
  if (item.client_id) { outbox.settle(item.client_id); pending.get(item.client_id)?.remove(); pending.delete(item.client_id); }
  const after = [...log.querySelectorAll('[data-seq]')].reverse().find((other) => Number(other.dataset.seq) < item.seq);
  if (after) after.after(row);
  else if (log.querySelector('[data-seq]')) log.querySelector('[data-seq]').before(row);
  else log.insertBefore(row, log.querySelector('[data-pending]'));
  // Only the newest question can still be answered by a click.
  log.querySelectorAll('.line__choices').forEach((group) => {
    const isLast = group.closest('li') === [...log.querySelectorAll('[data-seq]')].at(-1);
    group.querySelectorAll('button').forEach((button) => { button.disabled = !isLast; });
  });
}

function drawOutbox(entries) {
  atEnd(() => {
    for (const [id, row] of pending) if (!entries.some((entry) => entry.id === id)) { row.remove(); pending.delete(id); }
    for (const entry of entries) {
      pending.get(entry.id)?.remove();
      const row = draw({author: 'visitor', at: entry.at, text: entry.text});
      row.dataset.pending = '';
      row.dataset.state = entry.state;
      row.querySelector('.line__meta').append(` · ${words[entry.state]}`);
      if (entry.state === 'failed') {
        const why = words[entry.reason] ? ` (${words[entry.reason]})` : '';
        const retry = element('button', 'line__retry', words.retry);
        retry.type = 'button';
        retry.onclick = () => outbox.retry(entry.id);
        row.querySelector('.line__meta').append(why, retry);
      }
      pending.set(entry.id, row);
      log.append(row);
    }
  });
}

function drawState() {
  const said = {queued: words.queued, assigned: state.person ? words.person.replace('{name}', state.person) : words.agent, snoozed: words.agent, closed: words.closed};
  part('state').textContent = said[state.state] ?? words.automatic;
  // A form that appears takes room from the lines: the last one stays in sight.
  atEnd(() => {
    part('person').hidden = !['bot', 'closed'].includes(state.state);
    part('mail').hidden = state.mail !== 'ask' || !['queued', 'assigned', 'snoozed'].includes(state.state);
    part('rating').hidden = state.state !== 'closed' || state.csat !== null || !state.asks || !shown.size;
  });
  showTicks();
}

function showTicks() {
  const mine = [...shown].filter(([, row]) => row.dataset.author === 'visitor');
  mine.forEach(([, row]) => row.querySelector('.line__tick')?.remove());
  const last = mine.sort(([a], [b]) => a - b).at(-1);
  if (last) last[1].querySelector('.line__meta').append(element('span', 'line__tick', `· ${last[0] <= state.read ? words.read : last[0] <= state.got ? words.delivered : words.sent}`));
}

/* ---- What the server says ----------------------------------------------------------------------------------------- */

function take({after, upto: end, items}) {
  // Something between what we know and what came is missing: ask from where we are.
  if (after > upto) { ask(); return; }
  atEnd(() => items.forEach(place));
  if (end > upto) {
    upto = end;
    seen();
  }
  part('typing').textContent = '';
  drawState();
}

/** Say what arrived here: read where the page is looked at, else received. */
function seen() {
  if (!upto) return;
  if (document.hidden) reply({type: 'got', seq: upto}, {got: upto}); else reply({type: 'read', seq: upto}, {read: upto});
}

function enter(next) {
  if (next.conversation !== conversation) {
    conversation = next.conversation;
    upto = 0;
    shown.forEach((row) => row.remove());
    shown.clear();
    if (conversation) { store.set(VISITOR_KEY, visitorId); store.set(TALK_KEY, conversation); }
  }
  state = next;
  drawState();
}

/** Take what a request was answered; a socket that is not in this conversation is brought there first. */
function learn(news) {
  // What the socket said while the request was under way is newer.
  if (!news.overtaken || news.state.conversation !== socketIn) enter(news.state);
  if (isUp && conversation !== socketIn) hello();
  if (news.items) take(news);
}

let typingEnds;
const heard = {
  state: enter,
  messages: take,
  ack: ({client_id: id}) => { acknowledged.get(id)?.done(); acknowledged.delete(id); },
  typing: () => {
    part('typing').textContent = words.typing;
    clearTimeout(typingEnds);
    typingEnds = setTimeout(() => { part('typing').textContent = ''; }, 4000);
  },
  error: ({code, client_id}) => {
    // A frame the server does not understand is not named; one message at a time is under way, so it is that one.
    const id = code === 'bad_frame' ? [...acknowledged.keys()][0] : client_id;
    const waiting = acknowledged.get(id);
    acknowledged.delete(id);
    waiting?.fail(['unavailable', 'too_fast'].includes(code) ? new Error(code) : {refused: code});
  },
};

/* ---- Two ways to the server: the socket, or requests where it is blocked ------------------------------------------ */

async function request(path, body, {method = 'POST'} = {}) {
  const before = statesHeard;
  // In the language this page is shown in, which need not be the browser's own.
  const answer = await fetch(`/widget/api/${path}${path.includes('?') ? '&' : '?'}lang=${lang}`, {
    method, headers: {...(body ? {'Content-Type': 'application/json'} : {}), ...(token ? {'X-Visitor-Token': token} : {})}, credentials: 'omit',
    ...(body ? {body: JSON.stringify(body)} : {}),
  });
  const json = await answer.json().catch(() => ({}));
  if (answer.ok) return {...json, overtaken: statesHeard !== before};
  if (answer.status === 401) token = '';
  throw answer.status < 500 && ![401, 429].includes(answer.status) ? {refused: json.code} : new Error(json.code);
}

let renewing = null;
function renew() {
  renewing ??= (async () => {
    const claim = identity;
    try {
      const entered = await request('token', {key: page.key, visitor_id: visitorId, ...(claim ? {identity: claim} : {})});
      ({token, visitor_id: visitorId} = entered);
      // One that the shop's page told us meanwhile has not been shown yet.
      if (identity === claim) identity = null;
      renewedAt = Date.now();
    } finally { renewing = null; }
  })();
  return renewing;
}
let renewedAt = 0;

function hello() {
  socketIn = conversation;
  line.send({type: 'hello', token, after: upto, conversation, lang});
}

let isStale = false;
const line = new Line({
  path: '/ws/visitor/',
  opened: async () => {
    try {
      if (!token || Date.now() - renewedAt > RENEW_MS) await renew();
      hello();
    } catch (reason) {
      if (reason?.refused) { part('line').hidden = false; part('line').textContent = words.refused; }
      line.drop();
    }
  },
  frame: (message) => {
    if (message.type === 'state') {
      // Said before the request that began our conversation was done: neither it nor the messages after it count.
      isStale = ![message.conversation, socketIn].includes(conversation);
      if (isStale) { hello(); return; }
      socketIn = message.conversation;
      statesHeard += 1;
      isUp = true;
      part('line').hidden = true;
    }
    if (isStale && message.type === 'messages') return;
    heard[message.type]?.(message);
    if (message.type === 'state') outbox.pump();
  },
  state: (up) => {
    if (up) return;
    isUp = false;
    for (const {fail} of acknowledged.values()) fail(new Error('line down'));
    acknowledged.clear();
    part('line').hidden = false;
  },
  closed: (code) => { if (code === 4401 || code === 4402) token = ''; },
  beat: () => ({type: 'since', seq: upto}),
});

// Polling: whenever the socket is down, for whatever reason.
setInterval(async () => {
  if (isUp) {
    if (Date.now() - renewedAt > RENEW_MS) { await renew().catch(() => {}); hello(); }
    return;
  }
  try { await poll(); } catch { /* the notice is already shown */ }
}, POLL_MS);

async function poll() {
  if (!token) await renew();
  const news = await request(`since?seq=${upto}&conversation=${conversation}`, null, {method: 'GET'});
  // The socket came up meanwhile, and what it says is newer.
  if (isUp) return;
  part('line').hidden = true;
  learn(news);
  outbox.pump();
}

function ask() { if (!line.send({type: 'since', seq: upto})) poll().catch(() => {}); }

/** Small things that may be lost: by socket, else by request. */
function reply(frame, body) {
  if (isUp) { line.send(frame); return Promise.resolve(); }
  return token && body ? request('act', body).then(learn).catch(() => {}) : Promise.resolve();
}

const outbox = new Outbox({
  key: `widget:${page.key}`,
  changed: drawOutbox,
  deliver: async ({id, text: said, choice = ''}) => {
    if (!isUp) {
      if (!token) await renew();
      learn(await request('send', {client_id: id, text: said, choice, after: upto, conversation}));
      return;
    }
    await new Promise((done, fail) => {
      acknowledged.set(id, {done, fail});
      line.send({type: 'send', client_id: id, text: said, choice});
      setTimeout(() => { if (acknowledged.delete(id)) { fail(new Error('no answer')); line.drop(); } }, 10000);
    });
  },
});
drawOutbox(outbox.entries);

/* ---- What the visitor does ---------------------------------------------------------------------------------------- */

function say(said, choice = '') {
  outbox.add(said, {choice});
  log.scrollTop = log.scrollHeight;
}

part('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  const said = text.value.trim();
  if (!said) return;
  text.value = '';
  part('full').hidden = true;
  store.remove(DRAFT_KEY);
  say(said);
  text.focus();
});

// Enter sends, but never the Enter that picks a word in an input method (229 is what older engines report).
text.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  part('composer').requestSubmit();
});

// What is being written survives a reload, a crash and a closed tab.
text.value = store.get(DRAFT_KEY) || '';

/** A file goes by request, again and again until it is stored or refused; its id makes a repeat harmless. */
async function sendFile(file) {
  const id = newId();
  const row = draw({author: 'visitor', at: new Date().toISOString(), text: file.name});
  row.dataset.pending = '';
  const told = element('span', '', ` · ${words.sending}`);
  row.querySelector('.line__meta').append(told);
  atEnd(() => log.append(row));
  for (let attempt = 0; ; attempt++) {
    try {
      if (!token) await renew();
      const before = statesHeard;
      const answer = await fetch(`/widget/api/file?lang=${lang}`, {
        method: 'POST', body: file, credentials: 'omit',
        headers: {'Content-Type': 'application/octet-stream', 'X-Visitor-Token': token, 'X-Client-Id': id, 'X-File-Name': encodeURIComponent(file.name)},
      });
      const news = await answer.json();
      if (answer.ok) { row.remove(); learn({...news, overtaken: statesHeard !== before}); return; }
      if (answer.status === 401) token = '';
      else if (answer.status < 500 && answer.status !== 429) {
        row.dataset.state = 'failed';
        told.textContent = ` · ${words.failed}${words[news.code] ? ` (${words[news.code]})` : ''}`;
        return;
      }
    } catch { told.textContent = ` · ${words.waiting}`; }
    await new Promise((done) => { setTimeout(done, Math.min(1000 * 2 ** attempt, 15000)); });
  }
}
part('file').addEventListener('change', () => {
  for (const file of part('file').files) sendFile(file);
  part('file').value = '';
});

let typedAt = 0;
text.addEventListener('input', () => {
  part('full').hidden = text.value.length < text.maxLength;
  if (text.value) store.set(DRAFT_KEY, text.value); else store.remove(DRAFT_KEY);
  if (Date.now() - typedAt < 2500 || !conversation) return;
  typedAt = Date.now();
  line.send({type: 'typing'});
});

/** Asked before the line is up or while it is down, the wish goes by request, until it arrives; a repeat is harmless. */
async function askPerson() {
  if (isUp && line.send({type: 'person'})) return;
  try {
    if (!token) await renew();
    learn(await request('act', {person: true}));
  } catch { setTimeout(askPerson, 2000); }
}
part('person').addEventListener('click', askPerson);

part('rating').addEventListener('submit', async (event) => {
  event.preventDefault();
  const given = new FormData(event.target);
  const score = Number(given.get('score'));
  await reply({type: 'rate', score, comment: given.get('comment')}, {score, comment: given.get('comment')});
  part('rating').hidden = true;
  part('typing').textContent = words.thanks;
});

part('mail').addEventListener('submit', async (event) => {
  event.preventDefault();
  const told = event.target.querySelector('[role=status]');
  try {
    if (!token) await renew();
    learn(await request('act', {email: part('email').value}));
    part('typing').textContent = words.mail_kept;
  } catch (reason) { told.textContent = reason?.refused ? words.email_bad : words.unavailable; }
});

document.addEventListener('visibilitychange', () => { if (!document.hidden) seen(); });

// A conversation begun in another tab is this tab's, too; one of another visitor only where there is none yet.
addEventListener('storage', ({key, newValue}) => {
  if (key === TALK_KEY && newValue && newValue !== conversation && isUp) hello();
  if (key !== VISITOR_KEY || !newValue || conversation || newValue === visitorId) return;
  visitorId = newValue;
  token = '';
  line.drop();
});

/* ---- Inside the shop's page --------------------------------------------------------------------------------------- */

if (window.parent !== window) {
  part('close').hidden = false;
  const close = () => parent.postMessage('perennial:close', '*');
  part('close').addEventListener('click', close);
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape' && !event.isComposing) close(); });
  addEventListener('message', async (event) => {
    if (event.source !== parent || ![location.origin, ...page.origins.split(' ')].includes(event.origin) || !event.data?.perennial) return;
    identity = event.data.perennial;
    // A token may be on its way without it: that one first, then this.
    await renewing?.catch(() => {});
    await renew().catch((reason) => { if (reason?.refused) identity = null; else token = ''; });
    if (token) hello();
  });
  parent.postMessage('perennial:ready', '*');
}
text.focus();
