// The talk with the assistant. What it says comes piece by piece and becomes a message of the chat; whoever stops it keeps
// what has come. An answer is in the queue like a message, so that a reload in the middle loses none. It follows chat.js.
const afterwards = $('#rp-after');
const persons = () => now.people.filter(p => !p.assistant);
const wantAnswer = (more = {}) => ({id: ticket(), key: now.key, answer: true, ...more});
const answerAnew = more => {
  enqueue(wantAnswer(more));
  offer(null);
  paint();
  box.focus({preventScroll: true});
  pump();
};
const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 120;
const follow = was => { if (was) scroll.scrollTop = scroll.scrollHeight; };

// In how many seconds it may be tried again; nothing where it came, or was refused.
const answer = async (item, record) => {
  if (!record?.id || (item.tried && item.another)) { drop(item.id); paint(); return 0; } // tried: it may have come
  alter(item.id, {tried: true});
  const hangUp = new AbortController(), before = record.total;
  live = {...item, text: '', hangUp};
  paint();
  follow(record.key === now.key);
  let told = null;
  try {
    const asked = {...view, chat: record.id, people: record.people, warnings: record.warnings, total: before, another: Boolean(item.another), responder: record.responder};
    const response = await fetch(new URL('rapport/answer', R.here), {method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(asked), signal: hangUp.signal});
    if (!response.ok) throw new Error(response.status);
    for await (const piece of lines(response.body)) {
      if (piece.told) told = piece.told; else grow(piece.text);
    }
    if (!told) throw new Error('it broke off');
  } catch (fault) {
    const {stopped, text} = live;
    live = null;
    if (!stopped) { R.lost(); throw fault; }
    if (text) await settle(record, before, item.another);
    drop(item.id);
    paint();
    return 0;
  }
  await R.released();
  live = null;
  if (!told.again) drop(item.id);
  take(told, record, 'say');
  paint();
  return told.again ?? 0;
};
async function* lines(stream) {
  const reader = stream.getReader(), words = new TextDecoder();
  for (let rest = '', done = false; !done;) {
    const got = await reader.read();
    done = got.done;
    rest += done ? '\n' : words.decode(got.value, {stream: true});
    const whole = rest.split('\n');
    rest = whole.pop();
    for (const one of whole) if (one) yield JSON.parse(one);
  }
}
const grow = text => {
  if (!live) return;
  live.text += text;
  const was = atEnd(), shown = $('#rp-live');
  if (shown && live.key === now.key) { shown.textContent = live.text; follow(was); }
};
// The service hears a moment later that somebody has hung up, and keeps what it has said by then.
const settle = async (record, before, another) => {
  for (let tries = 0; tries < 24; tries += 1) {
    await pause(tries < 12 ? 0.2 : 1);
    const told = await ask('open', {}, record);
    if (told.total > before || (another && tries > 1)) return;
  }
};
const answerBubble = item => {
  const mine = live?.id === item.id;
  const text = node('span', {className: 'rp-text', dir: 'auto', id: 'rp-live'}, mine ? live.text : '');
  const bubble = node('div', {className: 'rp-message'}, node('span', {className: 'rp-name'}, 'Assistant'), text);
  const dots = node('span', {className: 'rp-dots', ariaHidden: 'true'}, ...[0, 1, 2].map(() => node('i')));
  const label = node('span', {className: 'rp-chip rp-pending'}, dots, R.away ? ' kept' : ' answering');
  const stop = node('button', {type: 'button', className: 'rp-button rp-stop', id: 'rp-stop', onclick: acts.stop}, '■ Stop');
  return node('li', {className: 'rp-line rp-program rp-coming rp-right'}, node('span', {className: 'rp-initial', ariaHidden: 'true'}, '✦'),
    bubble, node('span', {className: 'rp-label'}, label, ...(mine ? [stop] : [])));
};
const paintAnswers = () => {
  const waits = queue().some(i => i.key === now.key && !i.why);
  afterwards.hidden = !now.assistant || waits || !now.total || Boolean(view.query || view.emotion || view.person);
  $('#rp-another').hidden = !now.answered;
  $('#rp-answer-this').hidden = Boolean(now.answered);
  root.classList.toggle('rp-anew', live?.key === now.key && Boolean(live.another));
};
Object.assign(acts, {
  answer: () => answerAnew(),
  another: () => answerAnew({another: true}),
  stop: () => { if (live) { live.stopped = true; live.hangUp.abort(); box.focus({preventScroll: true}); } },
});
box.addEventListener('keydown', event => {
  if (event.key === 'Escape' && live?.key === now.key) { event.preventDefault(); acts.stop(); }
});

// The switch. Who talks with it is one person, unless there were more before; it is nobody to speak for.
const company = assistant => {
  now.assistant = assistant;
  R.write('rapport-assistant', assistant);
  if (!now.total && !queue().some(i => i.key === now.key)) now.people = startingPeople(assistant);
  else if (!assistant && persons().length < 2) join(persons().some(p => p.name === 'Ann') ? 'Bo' : 'Ann', false);
  keep(now);
  seat();
  arrange();
  paint();
};
const arrange = () => {
  for (const input of element.querySelectorAll('#rp-with input')) input.checked = (input.value === 'assistant') === Boolean(now.assistant);
  root.classList.toggle('rp-assisted', Boolean(now.assistant));
  root.classList.toggle('rp-one-person', Boolean(now.assistant) && persons().length < 2);
  box.placeholder = now.assistant ? 'Say something to the assistant' : 'Type a message';
  const empty = $('#rp-log .rp-empty p:last-child');
  if (empty) empty.textContent = now.assistant
    ? 'Type a message and press Enter: the assistant answers. It is a program: it knows nothing of you but what you say here.'
    : 'Choose who speaks, type a message and press Enter. Each message is labelled as it arrives, from what was said before it.';
};
$('#rp-with').addEventListener('change', event => { company(event.target.value === 'assistant'); });
server.chat({act: 'responders'}).then(({responders = []}) => {
  const choice = $('#rp-responder');
  choice.replaceChildren(...responders.map(name => node('option', {value: name}, name)));
  choice.hidden = responders.length < 2;
  choice.addEventListener('change', () => { now.responder = choice.value; keep(now); });
  if (responders.includes(now.responder)) choice.value = now.responder;
}).catch(() => {});
