// Files that are dropped on a tab go the way of uploaded ones. Stands before the scripts of the tabs that take them.
// `input` finds the way: the button it belongs to may come a moment after the rest of its tab.
const hand = (input, file) => {
  const way = input();
  if (!way) { setTimeout(() => hand(input, file), 50); return true; }
  const one = new DataTransfer();
  one.items.add(file);
  way.files = one.files;
  way.dispatchEvent(new Event('change', {bubbles: true}));
  return true;
};
// `dropped` is told what was dropped, and whether it is a folder; true where it has taken it.
const takeDrops = (tab, dropped) => {
  const over = on => tab.classList?.toggle('rp-dropping', on);
  tab.addEventListener('dragover', event => { if (event.dataTransfer.types.includes('Files')) { event.preventDefault(); over(true); } });
  tab.addEventListener('dragleave', event => { if (!tab.contains(event.relatedTarget)) over(false); });
  tab.addEventListener('drop', event => {
    over(false);
    const folder = Boolean(event.dataTransfer.items[0]?.webkitGetAsEntry?.()?.isDirectory);
    if (dropped(event.dataTransfer.files, folder)) event.preventDefault();
  }, true);
};
