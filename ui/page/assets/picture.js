// The Picture tab in the browser: the picture that is kept there, and rounds that are gone through, chosen and read out.
const tab = element.closest('.tabitem') ?? document;
const find = query => tab.querySelector(query);

// A picture is large: it comes once, with the dialogue, and is put in again whenever the rest is drawn anew. As long as a
// window has it, no other one begins with it.
const SHOWN = 'rapport-picture-shown';
let shown = {dialog: null, href: null, leave: null};
const keep = dialog => {
  shown.leave?.();
  shown.leave = null;
  window.rapport.write(SHOWN, dialog, sessionStorage);
  if (dialog) navigator.locks?.request(`${SHOWN}-${dialog}`, {mode: 'shared'}, () => new Promise(done => { shown.leave = done; }));
};
const put = () => {
  const drawn = find('#rp-picture svg[data-dialog]');
  const dialog = drawn?.dataset.dialog ?? null;
  const image = drawn?.querySelector('image');
  if (dialog !== shown.dialog) {
    keep(dialog);
    shown = {...shown, dialog, href: null};
  }
  if (image?.getAttribute('href')) shown.href = image.getAttribute('href');
  else if (image && shown.href) image.setAttribute('href', shown.href);
};
put();
new MutationObserver(put).observe(find('#rp-picture'), {childList: true, subtree: true, attributes: true, attributeFilter: ['href', 'data-dialog']});

// The newest round is in view and read out, unless an earlier one is being read.
const log = find('#rp-rounds');
const box = () => find('#rp-question textarea');
const all = () => [...log.querySelectorAll('button[data-n]')];
const said = document.createElement('div');
Object.assign(said, {id: 'rp-picture-said', className: 'rp-sr', role: 'status'});
log.after(said);
let rounds = 0;
let reached = null; // the round the keyboard was at when the log was drawn anew
log.addEventListener('focusin', event => { reached = event.target.closest('button[data-n]')?.dataset.n ?? null; });
log.addEventListener('focusout', event => { if (event.relatedTarget) reached = null; });
new MutationObserver(() => {
  const answered = all();
  // A question that waits for its answer is half a round, so that the answer, which is taller, comes into view too.
  const now = answered.length + log.querySelectorAll('li.rp-round').length / 2;
  if (now > rounds) {
    log.scrollTop = log.scrollHeight;
    log.scrollIntoView({block: 'nearest'});
    if (answered.length > Math.floor(rounds) && rounds) said.textContent = answered.at(-1).innerText;
  }
  rounds = now;
  if (reached !== null && document.activeElement === document.body) answered[reached]?.focus();
}).observe(log, {childList: true, subtree: true});
log.addEventListener('click', event => {
  const round = event.target.closest('button[data-n]');
  if (round) trigger('select', {n: Number(round.dataset.n)});
});

// Arrows go through the rounds, from an empty box too; Escape leads back to it.
tab.addEventListener('keydown', event => {
  const round = event.target.closest('#rp-rounds button[data-n]');
  const empty = event.target === box() && !box().value;
  if (event.key === 'Escape' && round) { box().focus(); return; }
  if (!(round || (empty && event.key === 'ArrowUp'))) return;
  const answered = all();
  const at = round ? answered.indexOf(round) : answered.length;
  const next = {ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: answered.length - 1}[event.key];
  if (next === undefined || next < 0) return;
  event.preventDefault();
  if (next < answered.length) answered[next].focus();
  else box().focus();
});

// What went wrong is in view, on a small screen too.
new MutationObserver(() => {
  find('#rp-picture-notice .rp-notice')?.scrollIntoView({block: 'nearest'});
}).observe(find('#rp-picture-notice'), {childList: true, subtree: true});
