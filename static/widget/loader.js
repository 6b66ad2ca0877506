/* The chat button: <script src="https://crm.example/static/widget/loader.js" data-key="KEY" defer></script> (docs/support.md) */
(() => {
  const me = document.currentScript, {key, colour = '#1f4fd1', label} = me.dataset, home = new URL(me.src).origin;
  const lang = document.documentElement.lang || 'en', zh = /^zh/i.test(lang);
  const host = document.body.appendChild(document.createElement('div')), root = host.attachShadow({mode: 'closed'});
  const css = new CSSStyleSheet();
  css.replaceSync(`button{position:fixed;inset:auto 20px 20px auto;z-index:2147483000;padding:14px 20px;border:0;border-radius:99px;background:${colour};color:#fff;font:600 15px/1.2 system-ui,sans-serif;cursor:pointer;box-shadow:0 4px 16px #0004}button:focus-visible{outline:3px solid #fff;outline-offset:-6px}iframe{position:fixed;inset:auto 20px 84px auto;z-index:2147483001;width:380px;height:min(560px,calc(100vh - 104px));border:0;border-radius:12px;box-shadow:0 8px 32px #0005;color-scheme:normal}[hidden]{display:none}@media(max-width:480px){iframe{inset:0;width:100%;height:100%;border-radius:0}}`);
  root.adoptedStyleSheets = [css];
  const button = root.appendChild(document.createElement('button'));
  button.textContent = label || (zh ? '在线客服' : 'Chat');
  button.ariaExpanded = 'false';
  let frame;
  const show = (open) => {
    frame.hidden = !open;
    button.ariaExpanded = String(open);
    if (open) frame.focus(); else button.focus();
  };
  button.onclick = () => {
    if (frame) return show(frame.hidden);
    frame = document.createElement('iframe');
    frame.title = button.textContent;
    frame.src = `${home}/w/${key}/?lang=${encodeURIComponent(lang)}`;
    root.append(frame);
    show(true);
  };
  addEventListener('message', (event) => {
    if (!frame || event.origin !== home || event.source !== frame.contentWindow) return;
    if (event.data === 'perennial:close') show(false);
    if (event.data === 'perennial:ready') frame.contentWindow.postMessage({perennial: window.perennial?.identity ?? null}, home);
  });
})();
