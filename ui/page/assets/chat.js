// The chat in the browser. What is typed is kept here until the service has it; the service is asked one thing at a
// time, and what it answers is shown as it comes. `element` and `server` are Gradio's, `rapport` is shell.js.
const R = window.rapport, node = R.node;
const $ = query => element.querySelector(query);
const root = $('.rp-chat'), box = $('#rp-words'), scroll = $('#rp-chat-log'), dialog = $('#rp-dialog');
const COLOURS = root.dataset.colours.split(' '), LONGEST_NAME = Number(root.dataset.longestName);
const MAX_PEOPLE = Number(root.dataset.maxPeople);

// Which chats there are is known to this browser only: their ids are the keys to them.
const book = () => R.read('rapport-chats', {next: 1, chats: []});
const keep = record => {
  const all = book();
  const place = all.chats.findIndex(c => c.key === record.key);
  if (place < 0) all.chats.unshift(record); else all.chats[place] = record;
  all.next = Math.max(all.next, Number(record.key) + 1);
  R.write('rapport-chats', all);
};
const startingPeople = assistant => assistant ? [{name: 'You', colour: 0}] : [{name: 'Ann', colour: 0}, {name: 'Bo', colour: 1}];
const fresh = (assistant = R.read('rapport-assistant', false)) => ({
  key: String(book().next), id: null, title: '', turns: true, warnings: {}, total: 0, turn: 0, assistant, people: startingPeople(assistant),
});
const view = {selected: null, query: '', emotion: '', person: ''};
let now = null, speaking = '', undo = null;
let live = null; // the assistant's answer that comes now
const recordOf = key => now && key === now.key ? now : book().chats.find(c => c.key === key);

// Asking.
let line = Promise.resolve();
const ask = (act, more = {}, record = now, done = () => {}) => {
  const turn = line.then(async () => {
    const asked = {act, ...view, ...more, chat: record.id, people: record.people, warnings: record.warnings};
    let told;
    root.classList.add('rp-asking');
    try { told = await server.chat(asked); } catch (fault) { R.lost(); throw fault; } finally { root.classList.remove('rp-asking'); }
    await R.released();
    done(told);
    take(told, record, act);
    return told;
  });
  line = turn.catch(() => {});
  return turn;
};
const quietly = promise => promise.catch(() => {});
const take = (told, record, act) => {
  if ('chat' in told) record.id = told.chat;
  if (told.gone) { record.id = null; record.warnings = {}; }
  if (told.warnings) record.warnings = told.warnings;
  if ('total' in told) record.total = told.total;
  if ('answered' in told) record.answered = told.answered;
  for (const {name, colour, assistant, speaks} of told.people ?? []) {
    const known = record.people.find(p => p.name === name);
    if (!known) record.people.push({name, colour, assistant});
    else if (speaks) known.assistant = assistant;
  }
  if (act !== 'open' && act !== 'export' && !told.notice) record.turn += 1; // other windows see that something is new
  keep(record);
  const {title} = record;
  if (act === 'forget' && !told.notice) { record.title = ''; keep(record); } // it is made of what was said
  if ('undo' in told) offer(told.undo && {...told.undo, key: record.key, title});
  if (record.key !== now.key) return;
  name();
  $('#rp-chat-notice').innerHTML = told.notice ?? '';
  if (told.gone) { quietly(ask('open')); return; }
  if (!('log' in told)) return;
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 120;
  const focused = document.activeElement?.closest?.('#rp-log [data-n]')?.dataset.n;
  $('#rp-log').innerHTML = told.log;
  $('#rp-chat-timeline').innerHTML = told.strip;
  $('#rp-details').innerHTML = told.details;
  if (act === 'remove') view.selected = null;
  root.classList.toggle('rp-chosen', view.selected !== null && told.selected !== null);
  if (focused !== undefined) messageAt(focused)?.focus({preventScroll: true});
  fillChoices(told);
  seat();
  arrange();
  paint();
  if (atEnd || act === 'say' || act === 'bring_back') scroll.scrollTop = scroll.scrollHeight;
};
const messageAt = n => element.querySelector(`#rp-log [data-n="${n}"]`);

// Sending. A message is in the queue from Enter until the service has labelled it, also over a reload.
// Each is kept under a key of its own: two windows that write at the same moment lose nothing of each other's.
const QUEUED = 'rapport-queue-';
const queue = () => R.keys(QUEUED).map(key => R.read(key)).filter(Boolean);
const enqueue = item => R.write(QUEUED + item.id, item);
const alter = (id, fields) => { const item = R.read(QUEUED + id); if (item) enqueue({...item, ...fields}); };
const drop = id => R.write(QUEUED + id, null);
let tickets = 0;
const ticket = () => `${Date.now()}-${String(tickets++).padStart(6, '0')}-${Math.random()}`; // in the order of their letters
const pause = seconds => new Promise(done => setTimeout(done, seconds * 1000));
let pumping = false;
const pump = async () => {
  if (pumping) return;
  pumping = true;
  try {
    await R.alone('rapport-send', async () => {
      for (let item; (item = queue().find(i => !i.why));) {
        const record = recordOf(item.key);
        if (!record) { drop(item.id); continue; }
        if (item.answer) {
          const seconds = await answer(item, record).catch(() => 2);
          if (seconds) await pause(seconds);
          continue;
        }
        const {id, text, speaker, time, tried} = item;
        alter(id, {tried: true});
        try {
          const told = await ask('say', {text, speaker, time, again: Boolean(tried)}, record, told => {
            if (told.refused) { alter(id, {why: told.refused}); queue().filter(i => i.to === id).forEach(i => drop(i.id)); }
            else if (!told.again && !told.gone) drop(id);
          });
          if (told.again) await pause(told.again);
          if (told.refused) paint();
        } catch { await pause(2); }
      }
    });
  } finally { pumping = false; }
};
const send = () => {
  const text = box.value.trim();
  if (!text) return;
  const id = ticket();
  const item = {id, key: now.key, speaker: speaking, text, time: new Date().toISOString()};
  enqueue(item);
  if (now.assistant) enqueue(wantAnswer({to: id}));
  box.value = '';
  draft();
  if (!now.title) { now.title = R.cut(text, 40); name(); }
  const others = persons();
  if (now.turns && !now.assistant) choose(others[(others.findIndex(p => p.name === speaking) + 1) % others.length].name);
  offer(null);
  keep(now);
  paint();
  scroll.scrollTop = scroll.scrollHeight;
  pump();
};
const paint = () => {
  const mine = queue().filter(i => i.key === now.key);
  $('#rp-under-way').replaceChildren(...mine.map(item => {
    if (item.answer) return answerBubble(item);
    const place = Math.max(now.people.findIndex(p => p.name === item.speaker), 0);
    const label = item.why
      ? node('span', {className: 'rp-chip rp-failed'}, '⚠ not sent')
      : node('span', {className: 'rp-chip rp-pending'}, R.away ? 'kept' : 'reading');
    const bubble = node('div', {className: 'rp-message'},
      node('span', {className: 'rp-name', dir: 'auto'}, item.speaker), node('span', {className: 'rp-text', dir: 'auto'}, item.text));
    if (item.why) bubble.append(node('span', {className: 'rp-note'}, item.why),
      node('button', {type: 'button', className: 'rp-link', onclick: () => { drop(item.id); box.value = box.value ? `${item.text}\n${box.value}` : item.text; draft(); paint(); box.focus(); }}, 'Put it back into the box'),
      node('button', {type: 'button', className: 'rp-link', onclick: () => { drop(item.id); paint(); }}, 'Discard'));
    const colour = now.people[place]?.colour ?? 0;
    return node('li', {className: `rp-line rp-p${colour}${place % 2 ? ' rp-right' : ''}`},
      node('span', {className: 'rp-initial', ariaHidden: 'true'}, R.initial(item.speaker)), bubble, node('span', {className: 'rp-label'}, label));
  }));
  if (mine.length) $('#rp-log .rp-empty')?.remove();
  paintAnswers();
};
const draft = () => {
  R.write(`rapport-draft-${now.key}`, box.value);
  box.style.height = 'auto';
  box.style.height = `${Math.min(box.scrollHeight + 2, 160)}px`;
};

// People.
const choose = who => {
  speaking = who;
  R.write(`rapport-speaking-${now.key}`, who, sessionStorage);
  for (const input of element.querySelectorAll('#rp-speaker input')) input.checked = input.value === who;
  const person = now.people.find(p => p.name === who);
  $('#rp-composer').className = `rp-composer rp-p${person?.colour ?? 0}`;
};
const seat = () => {
  const legend = $('#rp-speaker legend'), choices = persons(), focused = document.activeElement?.closest?.('#rp-speaker');
  $('#rp-speaker').replaceChildren(legend, ...choices.map(p => node('label', {className: `rp-p${p.colour}`},
    node('input', {type: 'radio', name: 'rp-speaker', value: p.name}), node('span', {dir: 'auto'}, p.name))));
  if (!choices.some(p => p.name === speaking)) speaking = choices[0]?.name ?? '';
  choose(speaking);
  if (focused) $('#rp-speaker input:checked')?.focus({preventScroll: true});
};
const join = (text, speaks = true) => {
  const who = R.name(text, LONGEST_NAME);
  if (!who) return '';
  if (!now.people.some(p => p.name === who)) {
    if (now.people.length >= MAX_PEOPLE) return `A chat on this page has at most ${MAX_PEOPLE} people.`;
    const free = COLOURS.findIndex((_, i) => !now.people.some(p => p.colour === i));
    now.people.push({name: who, colour: free < 0 ? now.people.length % COLOURS.length : free});
    keep(now);
  }
  if (speaks) speaking = who;
  seat();
  arrange();
  return '';
};
const rename = async (old, text) => {
  const who = R.name(text, LONGEST_NAME);
  if (!who || who === old) return;
  const before = now.people;
  const known = now.people.some(p => p.name === who);
  now.people = known ? before.filter(p => p.name !== old) : before.map(p => p.name === old ? {...p, name: who} : p);
  if (speaking === old) speaking = who;
  try {
    const told = await ask('rename', {old, new: who});
    if (told.notice) now.people = before;
  } catch { now.people = before; }
  keep(now);
  seat();
};

// Dialogs.
const open = (title, ...content) => {
  $('#rp-dialog-title').textContent = title;
  $('.rp-dialog-body').replaceChildren(...content, node('form', {method: 'dialog', className: 'rp-dialog-end'}, node('button', {className: 'rp-button'}, 'Close')));
  if (!dialog.open) dialog.showModal();
};
const sure = (title, what, yes, work) => open(title, node('p', {}, what), node('p', {},
  node('button', {type: 'button', className: 'rp-button rp-danger', id: 'rp-yes', onclick: () => { dialog.close(); work(); }}, yes)));
const people = () => open('People', ...now.people.map(p => {
  const speaks = [...element.querySelectorAll('#rp-log .rp-name')].some(n => n.textContent === p.name) || queue().some(i => i.speaker === p.name);
  const again = work => Promise.resolve(work).then(() => { if (dialog.open) people(); });
  const written = node('input', {value: p.name, maxLength: LONGEST_NAME * 4, ariaLabel: `Name of ${p.name}`});
  return node('form', {className: `rp-person rp-p${p.colour}`, onsubmit: e => { e.preventDefault(); again(rename(p.name, written.value)); }},
    node('select', {ariaLabel: `Colour of ${p.name}`, onchange: e => { p.colour = Number(e.target.value); keep(now); seat(); quietly(ask('open')); people(); }},
      ...COLOURS.map((c, i) => node('option', {value: i, selected: i === p.colour}, c))),
    written, node('button', {className: 'rp-button'}, 'Rename'),
    node('select', {ariaLabel: `${p.name} is the same as`, onchange: e => again(rename(p.name, e.target.value))},
      node('option', {value: ''}, 'Same as…'), ...now.people.filter(o => o !== p).map(o => node('option', {value: o.name}, o.name))),
    node('button', {type: 'button', className: 'rp-button', disabled: speaks || now.people.length < 2, title: speaks ? 'Has said something' : '',
      onclick: () => { now.people = now.people.filter(o => o !== p); keep(now); seat(); people(); }}, 'Remove'));
}), node('form', {className: 'rp-person', id: 'rp-new-person', onsubmit: e => {
  e.preventDefault();
  const input = e.target.querySelector('input'), told = join(input.value);
  if (told) { e.target.querySelector('span').textContent = told; return; }
  dialog.close();
  box.focus();
}}, node('input', {id: 'rp-new-name', placeholder: 'Somebody else', ariaLabel: 'Name of somebody else', autofocus: true}), node('button', {className: 'rp-button rp-main'}, 'Add'), node('span', {className: 'rp-note', role: 'status'})));
const chats = () => open('Chats',
  node('p', {}, node('button', {type: 'button', className: 'rp-button rp-main', id: 'rp-new-chat', onclick: () => { dialog.close(); show(fresh()); }}, 'New chat')),
  node('ul', {className: 'rp-chats'}, ...book().chats.map(c => node('li', {},
    node('button', {type: 'button', className: 'rp-link rp-chat-name', dir: 'auto', ariaCurrent: String(c.key === now.key), onclick: () => { dialog.close(); show(c); }}, c.title || 'Untitled chat'),
    node('span', {className: 'rp-quiet'}, ` ${c.total} message${c.total === 1 ? '' : 's'}`)))),
  node('form', {className: 'rp-person', onsubmit: e => { e.preventDefault(); now.title = R.cut(e.target.querySelector('input').value, 60); keep(now); name(); chats(); }},
    node('input', {value: now.title, ariaLabel: 'Title of this chat', id: 'rp-new-title'}), node('button', {className: 'rp-button'}, 'Name this chat')));
const change = () => {
  const n = view.selected, old = messageAt(n)?.querySelector('.rp-text').textContent ?? '';
  const words = node('textarea', {rows: 4, value: old, ariaLabel: 'The message', id: 'rp-new-words'});
  open(`Change message ${n + 1}`, node('form', {className: 'rp-person', onsubmit: e => { e.preventDefault(); dialog.close(); if (words.value.trim() !== old) again(ask('edit', {n, text: words.value})); }},
    words, node('button', {className: 'rp-button rp-main'}, 'Save')),
    node('p', {className: 'rp-quiet'}, 'What was said after it is read again, since it was read with the old words in mind.'));
};
const again = promise => { $('#rp-chat-notice').innerHTML = ''; return quietly(promise); };
const offer = what => {
  undo = what;
  R.write('rapport-undo', what, sessionStorage);
  $('#rp-undo').hidden = !what || what.key !== now.key;
  $('#rp-undo span').textContent = what ? what.what : '';
};

// Showing.
const name = () => { $('#rp-title').textContent = now.title || 'New chat'; };
const tidy = record => { // a chat in which nothing was ever said is not worth a line
  if (!record || record.id || record.title || R.read(`rapport-draft-${record.key}`) || queue().some(i => i.key === record.key)) return;
  const all = book();
  all.chats = all.chats.filter(c => c.key !== record.key);
  R.write('rapport-chats', all);
};
const show = (record, instead = false) => {
  if (record.key !== now?.key) tidy(now);
  now = record;
  Object.assign(view, {selected: null, query: '', emotion: '', person: ''});
  $('#rp-query').value = '';
  speaking = R.read(`rapport-speaking-${now.key}`, now.people[0].name, sessionStorage);
  box.value = R.read(`rapport-draft-${now.key}`, '');
  $('#rp-turns').checked = now.turns;
  name();
  seat();
  arrange();
  draft();
  keep(now);
  offer(R.read('rapport-undo', null, sessionStorage));
  R.go('chat', now.key, instead);
  R.write('rapport-chat-shown', now.key);
  paint();
  quietly(ask('open').then(() => { scroll.scrollTop = scroll.scrollHeight; }));
  if (matchMedia('(hover: hover)').matches && R.address().tab === 'chat' && !dialog.open) box.focus({preventScroll: true});
};
const select = n => {
  view.selected = n === view.selected ? null : n;
  for (const m of element.querySelectorAll('#rp-log [data-n]')) {
    const chosen = Number(m.dataset.n) === view.selected;
    m.setAttribute('aria-pressed', String(chosen));
    m.classList.toggle('rp-selected', chosen);
  }
  quietly(ask('open'));
};
const fillChoices = told => {
  const options = (query, everything, values, chosen) => $(query).replaceChildren(
    ...[['', everything], ...values.map(v => [v, v])].map(([value, text]) => node('option', {value, selected: value === chosen}, text)));
  options('#rp-only-emotion', 'every emotion', told.emotions, view.emotion);
  options('#rp-only-person', 'everybody', told.people.filter(p => p.speaks).map(p => p.name), view.person);
  $('#rp-found').textContent = view.query || view.emotion || view.person ? `${told.found} found` : '';
};
const unhide = () => {
  Object.assign(view, {query: '', emotion: '', person: ''});
  $('#rp-query').value = '';
  quietly(ask('open'));
};

const acts = {
  chats, people, add: people, edit: change,
  find: button => {
    const find = $('#rp-find');
    find.hidden = !find.hidden;
    button.setAttribute('aria-expanded', String(!find.hidden));
    if (!find.hidden) $('#rp-query').focus(); else unhide();
  },
  'show-all': unhide,
  export: () => quietly(ask('export').then(told => { if (told.file) R.save(told.file, told.content); })),
  forget: () => sure('Delete this chat?', `Its ${now.total} message${now.total === 1 ? '' : 's'} and your corrections are deleted from the service. Until you go on you can undo it.`, 'Delete it',
    () => again(ask('forget'))),
  remove: () => again(ask('remove', {n: view.selected})),
  correct: button => again(ask('correct', {n: Number(button.dataset.n), emotion_given: button.dataset.emotion})),
  uncorrect: button => again(ask('correct', {n: Number(button.dataset.n), emotion_given: ''})),
  close: () => { const n = view.selected; select(n); messageAt(n)?.focus(); },
  undo: () => {
    const {before, title} = undo;
    offer(null);
    now.title = title;
    name();
    again(ask('bring_back', {before}));
  },
  'no-undo': () => offer(null),
};
element.addEventListener('click', event => {
  const button = event.target.closest('[data-do]');
  if (button) { acts[button.dataset.do]?.(button); return; }
  const message = event.target.closest('#rp-log [data-n]');
  if (message && !String(getSelection())) { select(Number(message.dataset.n)); return; }
  const point = event.target.closest('#rp-chat-timeline [data-n]');
  if (point) {
    if (Number(point.dataset.n) !== view.selected) select(Number(point.dataset.n));
    messageAt(point.dataset.n)?.scrollIntoView({block: 'center'});
  }
});
for (const kind of ['mouseover', 'mouseout']) element.addEventListener(kind, event => {
  const n = event.target.closest('[data-n]')?.dataset.n;
  if (n !== undefined) for (const twin of element.querySelectorAll(`[data-n="${n}"]`)) twin.classList.toggle('rp-lit', kind === 'mouseover');
});
element.addEventListener('keydown', event => {
  if (dialog.open) return;
  if (event.key === 'Escape' && view.selected !== null) { acts.close(); event.preventDefault(); return; }
  const here = event.target.closest('#rp-log [data-n]');
  if (here) {
    const all = [...element.querySelectorAll('#rp-log [data-n]')], place = all.indexOf(here);
    const next = {ArrowUp: place - 1, ArrowDown: place + 1, Home: 0, End: all.length - 1}[event.key];
    if (event.key === 'Escape' || (event.key === 'ArrowDown' && place === all.length - 1)) { box.focus(); event.preventDefault(); }
    else if (event.key === 'ArrowRight' && view.selected !== null) { $('#rp-side button, #rp-side .rp-choice').focus(); event.preventDefault(); }
    else if (all[next]) { all.forEach(m => { m.tabIndex = -1; }); all[next].tabIndex = 0; all[next].focus(); event.preventDefault(); }
  }
  if (event.target === box && event.key === 'ArrowUp' && !box.value) { [...element.querySelectorAll('#rp-log [data-n]')].pop()?.focus(); event.preventDefault(); }
});
box.addEventListener('keydown', event => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
});
box.addEventListener('input', draft);
$('#rp-composer').addEventListener('submit', event => { event.preventDefault(); send(); box.focus(); });
$('#rp-speaker').addEventListener('change', event => { choose(event.target.value); });
$('#rp-turns').addEventListener('change', event => { now.turns = event.target.checked; keep(now); });
let typing = 0;
$('#rp-query').addEventListener('input', event => {
  clearTimeout(typing);
  typing = setTimeout(() => { view.query = event.target.value; quietly(ask('open')); }, 200);
});
$('#rp-only-emotion').addEventListener('change', event => { view.emotion = event.target.value; quietly(ask('open')); });
$('#rp-only-person').addEventListener('change', event => { view.person = event.target.value; quietly(ask('open')); });
addEventListener('storage', event => { // another window of this browser
  if (event.key === 'rapport-chats') {
    const theirs = book().chats.find(c => c.key === now.key);
    if (theirs) { now = theirs; name(); seat(); arrange(); quietly(ask('open')); }
  }
  if (event.key?.startsWith(QUEUED)) paint();
});
R.onBack(() => { quietly(ask('open')); pump(); });
R.onPlace('chat', key => {
  const record = book().chats.find(c => c.key === key);
  if (record && record.key !== now?.key) show(record, true);
});
