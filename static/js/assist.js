/*
 * The suggestion beside a conversation: Insert puts it into the composer, a new message asks for the next one.
 * Without this file the composer works as ever; the card is only shown.
 */
const messages = document.getElementById('messages');

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
    card?.dispatchEvent(new CustomEvent('perennial:question'));
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
