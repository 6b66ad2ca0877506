// docs/support.md
(() => {
  const script = document.currentScript, {key, colour = '#1f4fd1', label} = script.dataset, home = new URL(script.src).origin,
    lang = document.documentElement.lang || 'en',
    root = document.body.appendChild(document.createElement('div')).attachShadow({mode: 'closed'}),
    css = new CSSStyleSheet(), button = root.appendChild(document.createElement('button'));
  css.replaceSync(`*{position:fixed;inset:auto 20px 20px auto;z-index:2147483000;border:0}button{padding:14px 20px;border-radius:99px;background:${colour};color:#fff;font:600 15px system-ui,sans-serif;cursor:pointer}button:focus-visible{outline:3px solid #fff;outline-offset:-6px}iframe{bottom:84px;width:380px;height:min(560px,100vh - 104px);border-radius:12px;box-shadow:0 8px 32px #0005}[hidden]{display:none}@media(max-width:480px){iframe{inset:0;width:100%;height:100%;border-radius:0}}`);
  root.adoptedStyleSheets = [css];
  button.textContent = label || (/^zh/i.test(lang) ? '在线客服' : 'Chat');
  let frame;
  const show = (open) => {
    frame.hidden = !open;
    button.ariaExpanded = open;
    (open ? frame : button).focus();
  };
  button.onclick = () => {
    if (frame) return show(frame.hidden);
    frame = root.appendChild(document.createElement('iframe'));
    frame.title = button.textContent;
    frame.src = `${home}/w/${key}/?lang=${lang}`;
    show(true);
  };
  addEventListener('message', ({data, source}) => {
    if (!frame || source != frame.contentWindow) return;
    if (data == 'perennial:close') show(false);
    if (data == 'perennial:ready') source.postMessage({perennial: window.perennial?.identity}, home);
  });
})();
