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
