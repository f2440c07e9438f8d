// What may have been meant, below the box: one click takes it, and nothing else ever changes a word. It follows chat.js.
const offers = $('#rp-offers'), offering = $('#rp-suggest');
let waiting = 0, shown = '';
const spared = () => R.read('rapport-spared', []);
const spare = word => R.write('rapport-spared', [...spared().filter(w => w !== word), word].slice(-500));
const clearOffers = () => { clearTimeout(waiting); shown = ''; offers.replaceChildren(); };
const put = text => { box.value = text; draft(); box.focus(); box.setSelectionRange(text.length, text.length); lookAgain(); };
const replaced = (text, edits) => { // offsets are code points, from the last edit to the first
  const signs = Array.from(text);
  for (const {start, end, meant} of [...edits].reverse()) signs.splice(start, end - start, meant);
  return signs.join('');
};
const chip = (text, title, work, kind = '') =>
  node('button', {type: 'button', className: `rp-offer ${kind}`, title, onclick: work}, ...text);
const offerWords = (text, {edits = [], completions = []}) => {
  if (text !== box.value) return; // the person has gone on
  shown = text;
  const begun = text.match(/[\p{L}\p{M}'’]+$/u)?.[0] ?? '';
  offers.replaceChildren(
    ...edits.map(edit => node('span', {className: 'rp-offer-pair'},
      chip([node('s', {dir: 'auto'}, edit.typed), ' → ', node('b', {dir: 'auto'}, edit.meant)], `Write ${edit.meant} instead of ${edit.typed}`, () => put(replaced(text, [edit]))),
      chip([node('span', {ariaHidden: 'true'}, '×'), node('span', {className: 'rp-sr'}, `Leave ${edit.typed} as it is`)], `Leave ${edit.typed} as it is`, () => { spare(edit.typed.toLowerCase()); lookAgain(); box.focus(); }, 'rp-offer-leave'))),
    ...(edits.length > 1 ? [chip(['All'], 'Take all of them', () => put(replaced(text, edits)))] : []),
    ...completions.filter(word => word.toLowerCase() !== begun.toLowerCase()).map(word =>
      chip([word], `Go on with ${word}`, () => put(`${text.slice(0, text.length - begun.length)}${word} `), 'rp-offer-word')));
};
const lookAgain = () => {
  clearTimeout(waiting);
  const text = box.value;
  if (!offering.checked || !text.trim()) { clearOffers(); return; }
  if (text !== shown) offers.replaceChildren();
  waiting = setTimeout(() => server.suggest({text, keep: spared()}).then(told => offerWords(text, told)).catch(() => {}), 300);
};
box.addEventListener('input', event => { if (!event.isComposing) lookAgain(); });
box.addEventListener('compositionend', lookAgain);
$('#rp-composer').addEventListener('submit', clearOffers);
box.addEventListener('keydown', event => { if (event.key === 'Enter' && !event.shiftKey) clearOffers(); });
offering.checked = R.read('rapport-suggests', true);
offering.addEventListener('change', () => { R.write('rapport-suggests', offering.checked); lookAgain(); });
