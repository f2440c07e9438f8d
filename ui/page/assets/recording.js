// The Recording tab in the browser: recordings and lines that are chosen, files that are dropped.
const tab = element.closest('.tabitem') ?? document;
tab.addEventListener('click', event => {
  const act = event.target.closest('#rp-recs [data-act]');
  if (act) { trigger('select', {recording: act.dataset.recording, act: act.dataset.act}); return; }
  const leaf = event.target.closest('#rp-rec-table [data-leaf]');
  if (leaf) { trigger('select', {leaf: Number(leaf.dataset.leaf)}); return; }
  const row = event.target.closest('#rp-rec-table tr[data-n], #rp-rec-timeline [data-n]');
  if (!row || String(getSelection())) return;
  trigger('select', {n: Number(row.dataset.n)});
});

const input = () => tab.querySelector('#rp-rec-upload input[type=file], input#rp-rec-upload, #rp-rec-upload ~ input[type=file]')
  ?? tab.querySelector('input[type=file]');
const give = files => Boolean(files.length) && hand(input, files[0]);
takeDrops(tab, give);
