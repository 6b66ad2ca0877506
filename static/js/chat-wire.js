/*
 * A websocket that comes back. It reconnects with growing, jittered pauses, notices a dead line by its own heartbeat
 * (a proxy can keep a socket open that carries nothing), and says whether it is up.
 *
 *   const line = new Line({path: '/ws/inbox/', opened: (send) => …, frame: (message) => …, state: (isUp) => …,
 *                          beat: () => ({type: 'ping'})});
 *   line.send({type: 'typing'});      // false when the line is down
 */

const BEAT_MS = 15000;
const ANSWER_MS = 8000;
const LONGEST_WAIT_MS = 15000;

export class Line {
  constructor({path, opened, frame, state, closed = () => {}, beat}) {
    Object.assign(this, {path, opened, frame, state, closed, beat});
    this.attempts = 0;
    addEventListener('online', () => this.connect());
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.wake(); });
    this.connect();
  }

  connect() {
    clearTimeout(this.again);
    if (this.socket && this.socket.readyState < WebSocket.CLOSING) return;
    const socket = this.socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${this.path}`);
    socket.onopen = () => {
      this.listen();
      this.opened();
    };
    socket.onmessage = (event) => {
      this.attempts = 0;
      this.listen();
      this.frame(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      clearTimeout(this.pulse);
      clearTimeout(this.silence);
      this.state(false);
      this.closed(event.code);
      // Half of the pause is chance, so a restarted server is not met by everyone at once.
      const pause = Math.min(LONGEST_WAIT_MS, 500 * 2 ** this.attempts++);
      this.again = setTimeout(() => this.connect(), pause / 2 + Math.random() * pause / 2);
    };
  }

  /** Anything heard proves the line; after a quiet while ask, and give up on it when nothing comes back. */
  listen() {
    clearTimeout(this.pulse);
    clearTimeout(this.silence);
    this.pulse = setTimeout(() => this.ask(), BEAT_MS);
  }

  ask() {
    if (!this.send(this.beat())) return;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.drop(), ANSWER_MS);
  }

  drop() {
    const socket = this.socket;
    socket.close();
    // A socket whose peer vanished waits minutes for the closing handshake.
    socket.onclose?.({code: 1006});
    socket.onclose = socket.onmessage = null;
  }

  /** A tab that comes to the front does not wait for its timer. */
  wake() {
    if (this.socket.readyState === WebSocket.OPEN) this.ask(); else this.connect();
  }

  get isOpen() { return this.socket?.readyState === WebSocket.OPEN; }

  send(message) {
    if (!this.isOpen) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }
}

/*
 * What somebody wrote and the server has not confirmed yet. Kept in localStorage, sent one after another in order,
 * again and again until confirmed; the id given here makes a repeat harmless.
 *
 *   const outbox = new Outbox({key: 'inbox:7', deliver: async (entry) => {…}, changed: (entries) => {…}});
 *   outbox.add('Hello');      outbox.pump();      outbox.retry(id);
 *
 * deliver resolves once the message is stored. If it rejects with {refused: code} the message is shown as failed and
 * the next one goes on; with anything else it is tried again.
 */

const WAITS_MS = [500, 1000, 2000, 4000, 8000];

export function newId() {
  // randomUUID is missing on plain-http pages other than localhost.
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** localStorage that may be forbidden (a framed page with third-party storage blocked): then memory. */
const memory = new Map();
export const store = {
  get(key) { try { return localStorage.getItem(key); } catch { return memory.get(key) ?? null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { memory.set(key, value); } },
  remove(key) { try { localStorage.removeItem(key); } catch { memory.delete(key); } },
  keys(prefix) {
    let all = [...memory.keys()];
    try { all = Object.keys(localStorage); } catch { /* memory it is */ }
    return all.filter((key) => key.startsWith(prefix));
  },
};

export class Outbox {
  constructor({key, deliver, changed}) {
    // A key for each entry: two tabs that write at once must not overwrite one another's list.
    this.prefix = `outbox:${key}:`;
    this.deliver = deliver;
    this.changed = changed;
    this.failures = 0;
    this.isBusy = false;
    this.entries = this.kept();
  }

  /** What an earlier page, or another tab, left unconfirmed, oldest first. */
  kept() {
    const found = [];
    for (const key of store.keys(this.prefix)) {
      try { found.push(JSON.parse(store.get(key))); } catch { store.remove(key); }
    }
    return found.filter((entry) => entry?.id).sort((one, other) => one.order - other.order);
  }

  add(text, extra = {}) {
    const order = Math.max(Date.now(), (this.entries.at(-1)?.order ?? 0) + 1);
    const entry = {id: newId(), text, state: 'sending', at: new Date().toISOString(), order, ...extra};
    this.entries.push(entry);
    this.keep(entry);
    this.pump();
    return entry;
  }

  /** The message is known to be stored: from the answer, or because it came back in the conversation. */
  settle(id) {
    const before = this.entries.length;
    this.entries = this.entries.filter((entry) => entry.id !== id);
    store.remove(this.prefix + id);
    if (this.entries.length !== before) this.changed(this.entries);
  }

  retry(id) {
    const entry = this.entries.find((each) => each.id === id);
    if (!entry) return;
    entry.state = 'sending';
    this.keep(entry);
    this.pump();
  }

  async pump() {
    clearTimeout(this.timer);
    const next = this.entries.find((entry) => entry.state !== 'failed');
    if (this.isBusy || !next) return;
    this.isBusy = true;
    try {
      await this.deliver(next);
      this.failures = 0;
      this.settle(next.id);
    } catch (reason) {
      if (reason?.refused) {
        next.state = 'failed';
        next.reason = reason.refused;
      } else {
        next.state = 'waiting';
        this.timer = setTimeout(() => this.pump(), WAITS_MS[Math.min(this.failures++, WAITS_MS.length - 1)]);
        this.isBusy = false;
        this.keep(next);
        return;
      }
      this.keep(next);
    }
    this.isBusy = false;
    this.pump();
  }

  keep(entry) {
    // Confirmed while it was being sent once more: nothing to keep.
    if (this.entries.includes(entry)) store.set(this.prefix + entry.id, JSON.stringify(entry));
    this.changed(this.entries);
  }
}
