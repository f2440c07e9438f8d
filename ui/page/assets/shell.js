// What all tabs share in the browser: memory, the address, light and dark, and whether the service still answers.
window.rapport = (() => {
  const here = new URL('.', location.href);
  const segmenter = window.Intl && Intl.Segmenter ? new Intl.Segmenter() : null;

  // Memory. A browser that keeps nothing (private windows, full storage) still chats; it only forgets.
  const read = (key, otherwise = null, store = localStorage) => {
    try { return JSON.parse(store.getItem(key)) ?? otherwise; } catch { return otherwise; }
  };
  const write = (key, value, store = localStorage) => {
    try {
      if (value === null || value === '') store.removeItem(key);
      else store.setItem(key, JSON.stringify(value));
    } catch { /* full, or forbidden */ }
  };

  // Texts. A family or a flag is one sign.
  const signs = text => segmenter ? Array.from(segmenter.segment(text), s => s.segment) : Array.from(text);
  const cut = (text, n) => {
    const all = signs(text.replace(/\s+/g, ' ').trim());
    return all.length <= n ? all.join('') : all.slice(0, n - 1).join('') + '…';
  };
  // A name of at most so many signs, and of no more code units than the service takes, with no sign cut in two.
  const name = (text, n) => {
    const all = signs(text.replace(/\s+/g, ' ').trim()).slice(0, n);
    while (all.join('').length > 160) all.pop();
    return all.join('').trim();
  };
  const initial = text => (signs(text.trim())[0] ?? '').toUpperCase();
  const save = (name, text) => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], {type: 'application/octet-stream'}));
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const keys = (beginning, store = localStorage) => {
    try { return Object.keys(store).filter(key => key.startsWith(beginning)).sort(); } catch { return []; }
  };
  const node = (tag, properties = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
      else if (key in made && key !== 'list') made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  };
  // One window at a time; where the browser has no locks, the service tells doubles apart by their time.
  const alone = (name, work) => navigator.locks ? navigator.locks.request(name, work) : work();

  // Whoever presses a button that is drawn anew before it is let go has clicked on nothing. What is to be drawn waits for
  // the end of a press, though not for a long one.
  let released = Promise.resolve();
  addEventListener('pointerdown', () => {
    released = new Promise(done => {
      for (const end of ['pointerup', 'pointercancel']) addEventListener(end, () => setTimeout(done), {once: true});
      setTimeout(done, 1000);
    });
  }, true);

  // Light and dark.
  const system = matchMedia('(prefers-color-scheme: dark)');
  const dress = () => {
    const chosen = read('rapport-theme');
    const dark = chosen ? chosen === 'dark' : system.matches;
    if (document.body.classList.contains('dark') !== dark) document.body.classList.toggle('dark', dark);
    document.documentElement.style.colorScheme = dark ? 'dark' : 'light';
    const button = document.getElementById('rp-theme');
    if (button) button.textContent = dark ? 'Light' : 'Dark';
  };

  // The address: #tab or #tab/place, so that reload, Back and a bookmark lead to the same.
  const names = ['chat', 'picture', 'conversation', 'batch', 'recording', 'fleet', 'about'];
  const places = {}, listeners = {};
  let started = false;
  const address = () => {
    const [tab, ...rest] = decodeURIComponent(location.hash.slice(1)).split('/');
    return {tab: names.includes(tab) ? tab : 'chat', place: rest.join('/')};
  };
  const at = (tab, place) => `#${tab}${place ? '/' + encodeURIComponent(place) : ''}`;
  const go = (tab, place, instead = false) => {
    places[tab] = place;
    if (address().tab !== tab) return;
    if (location.hash !== at(tab, place)) history[instead ? 'replaceState' : 'pushState'](null, '', at(tab, place));
  };
  const named = button => button.textContent.trim().toLowerCase();
  const BUTTON = '#rp-tabs [role=tab], #rp-tabs .overflow-dropdown button'; // others only measure how wide they are
  const buttons = () => [...document.querySelectorAll(BUTTON)];
  const arrive = () => {
    const {tab, place} = address();
    const open = buttons().find(b => b.getAttribute('aria-selected') === 'true');
    if (!open || named(open) !== tab) buttons().find(b => named(b) === tab)?.click();
    if (place) places[tab] = place;
    listeners[tab]?.(place);
  };
  const start = () => {
    if (started) return;
    started = true;
    dress();
    addEventListener('popstate', arrive);
    // The tabs may come after what is in them.
    const waiting = setInterval(() => {
      if (!buttons().some(b => b.getAttribute('aria-selected') === 'true')) return;
      clearInterval(waiting);
      if (location.hash) arrive();
    }, 50);
  };
  document.addEventListener('click', event => {
    const button = event.target.closest(BUTTON);
    const tab = button && named(button);
    if (names.includes(tab) && address().tab !== tab) history.pushState(null, '', at(tab, places[tab]));
    const act = event.target.closest('[data-shell]')?.dataset.shell;
    if (act === 'theme') {
      write('rapport-theme', document.body.classList.contains('dark') ? 'light' : 'dark');
      dress();
    }
    if (act === 'skip') {
      event.preventDefault();
      const target = ['#rp-words', '#rp-question textarea', '#rp-paste textarea', '#rp-batch-upload', '#rp-rec-upload', '#rp-fleet-upload', '#rp-about']
        .map(q => document.querySelector(q)).find(e => e && e.offsetParent !== null);
      if (target) { if (!target.matches('textarea, button')) target.tabIndex = -1; target.focus(); }
    }
  });

  // The connection: asked every other second, so that its loss is said within five, also where nobody does anything.
  const came_back = [];
  let away = false;
  const tell = lost => {
    if (away === lost) return;
    away = lost;
    let banner = document.getElementById('rp-lost');
    if (!banner) document.body.append(banner = node('div', {id: 'rp-lost', role: 'alert'}));
    banner.textContent = lost
      ? 'The service does not answer. What you type is kept, and goes out when it is back.'
      : 'Connected again.';
    banner.className = lost ? 'rp-away' : 'rp-back';
    if (!lost) {
      setTimeout(() => { if (!away) banner.className = ''; }, 2500);
      came_back.forEach(work => work());
    }
  };
  const probe = async () => {
    if (document.hidden) return;
    try {
      await fetch(new URL('favicon.ico', here), {cache: 'no-store', signal: AbortSignal.timeout(2500)});
      tell(false);
    } catch { tell(true); }
  };
  setInterval(probe, 2000);
  addEventListener('offline', () => tell(true));
  addEventListener('online', probe);
  document.addEventListener('visibilitychange', probe);

  document.addEventListener('DOMContentLoaded', () => {
    dress();
    system.addEventListener('change', () => setTimeout(dress));
    new MutationObserver(dress).observe(document.body, {attributes: true, attributeFilter: ['class']});
  });

  return {
    here, read, write, keys, cut, name, initial, save, node, alone, start, go, address, probe,
    lost: () => probe(), onBack: work => came_back.push(work), onPlace: (tab, work) => { listeners[tab] = work; },
    released: () => released,
    get away() { return away; },
  };
})();
