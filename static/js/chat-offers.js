/*
 * Saved replies after a slash and colleagues after an @ in the console's composer, and the list of macros.
 *
 *   const {Offers} = await import(url);
 *   const offers = new Offers({text, words, getJson, kindOf});   the composer's box, the console's data-, two functions
 *   offers.offer();                                              after every change of the box
 */

export class Offers {
  constructor({text, words, getJson, kindOf}) {
    Object.assign(this, {text, words, getJson, kindOf});
    this.list = document.getElementById('offers');
    this.offered = [];
    this.chosen = 0;
    this.asked = 0;
    this.saved = '';
    this.tools = null;
    this.takeSaved = () => { const used = this.saved; this.saved = ''; return used; };
    // Before the page's own handler of Enter hears of it, and before the composer's.
    text?.addEventListener('keydown', (event) => this.key(event), true);
    text?.addEventListener('blur', () => this.close());
  }

  /** Return what is being looked for before the caret, or null. */
  looking() {
    const before = this.text.value.slice(0, this.text.selectionStart);
    const found = /(?:^|\s)([/@])([^\s/@]{0,40})$/.exec(before);
    if (!found || (found[1] === '@' && this.kindOf() !== 'note')) return null;
    return {mark: found[1], word: found[2], from: before.length - found[2].length - 1, to: before.length};
  }

  async offer() {
    const wanted = this.looking();
    if (!wanted) { this.close(); return; }
    const turn = ++this.asked;
    try {
      if (wanted.mark === '/') {
        const {replies} = await this.getJson(`${this.words.savedUrl}?q=${encodeURIComponent(wanted.word)}`);
        this.offered = replies.map((each) => ({label: `/${each.shortcut}`, more: each.title, put: each.text, saved: each.id}));
      } else {
        this.tools ??= await this.getJson(this.words.toolsUrl);
        this.offered = this.tools.colleagues.filter(({username, name}) => `${username} ${name}`.toLowerCase().includes(wanted.word.toLowerCase()))
          .map(({username, name}) => ({label: `@${username}`, more: name, put: `@${username} `}));
      }
    } catch { this.offered = []; }
    // An answer to what was typed a moment ago comes too late.
    if (turn !== this.asked || !this.looking()) return;
    this.chosen = 0;
    this.draw(wanted.mark);
  }

  draw(mark) {
    this.list.replaceChildren(...this.offered.map(({label, more}, index) => {
      const item = document.createElement('li');
      item.id = `offer-${index}`;
      item.setAttribute('role', 'option');
      item.setAttribute('aria-selected', String(index === this.chosen));
      const name = document.createElement('strong');
      name.textContent = label;
      item.append(name, ` ${more}`);
      // pointerdown: the box must not lose the caret before the choice is put in.
      item.onpointerdown = (event) => { event.preventDefault(); this.put(index); };
      return item;
    }));
    if (!this.offered.length && mark === '/') {
      const none = document.createElement('li');
      none.className = 'muted';
      none.textContent = this.words.wordNoneSaved;
      this.list.append(none);
    }
    this.list.hidden = !this.list.children.length;
    this.text.setAttribute('aria-activedescendant', this.offered.length ? `offer-${this.chosen}` : '');
  }

  close() {
    this.asked++;
    this.offered = [];
    this.list.hidden = true;
    this.text.removeAttribute('aria-activedescendant');
  }

  put(index) {
    const wanted = this.looking();
    const choice = this.offered[index];
    if (!wanted || !choice) return;
    this.text.setRangeText(choice.put, wanted.from, wanted.to, 'end');
    if (choice.saved) this.saved = choice.saved;
    this.close();
    this.text.dispatchEvent(new Event('input', {bubbles: true}));
  }

  key(event) {
    if (event.isComposing || event.keyCode === 229 || this.list.hidden) return;
    if (event.key === 'Escape') this.close();
    else if (['ArrowDown', 'ArrowUp'].includes(event.key) && this.offered.length) {
      this.chosen = (this.chosen + (event.key === 'ArrowDown' ? 1 : -1) + this.offered.length) % this.offered.length;
      this.draw('/');
    } else if (['Enter', 'Tab'].includes(event.key) && this.offered.length) this.put(this.chosen);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  async fillMacros(menu) {
    this.tools ??= await this.getJson(this.words.toolsUrl).catch(() => null);
    const list = menu.querySelector('[data-macros]');
    list.replaceChildren(...(this.tools?.macros ?? []).map(({id, name}) => {
      const made = document.createElement('button');
      made.name = 'macro';
      made.value = id;
      made.textContent = name;
      return made;
    }));
    if (!list.children.length) {
      const none = document.createElement('a');
      none.href = this.words.savedPage;
      none.textContent = this.words.wordNoMacros;
      list.append(none);
    }
  }
}
