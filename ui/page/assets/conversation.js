// The Conversation tab in the browser: rows and points that lead to a message, files that are dropped or pasted.
const tab = element.closest('.tabitem') ?? document;
const pick = n => trigger('select', {n});
tab.addEventListener('click', event => {
  const act = event.target.closest('#rp-log-details [data-do]');
  if (act) {
    if (act.dataset.do === 'close') pick(-1);
    else trigger('select', {act: act.dataset.do, n: Number(act.dataset.n), emotion: act.dataset.emotion});
    return;
  }
  const leaf = event.target.closest('#rp-table [data-leaf]');
  if (leaf) {
    trigger('select', {leaf: Number(leaf.dataset.leaf)});
    tab.querySelector('#rp-table').scrollTop = 0;
    return;
  }
  const place = event.target.closest('#rp-table tr[data-n], #rp-log-timeline [data-n], #rp-overview [data-n]');
  if (!place || String(getSelection())) return;
  if (!place.matches('tr')) tab.querySelector(`#rp-table tr[data-n="${place.dataset.n}"]`)?.scrollIntoView({block: 'center'});
  pick(Number(place.dataset.n));
});
// What was clicked may be drawn anew and lose the focus: the key is then pressed on the page, not in the tab.
document.addEventListener('keydown', event => {
  if (event.key === 'Escape' && tab.querySelector('#rp-log-details section')?.offsetParent) pick(-1);
});
const input = () => tab.querySelector('#rp-upload input[type=file], input#rp-upload, #rp-upload ~ input[type=file]')
  ?? document.querySelector('.rp-conversation input[type=file]');
const give = files => Boolean(files.length) && hand(input, files[0]);
takeDrops(tab, give);
tab.addEventListener('paste', event => { if (give(event.clipboardData.files)) event.preventDefault(); }, true);
