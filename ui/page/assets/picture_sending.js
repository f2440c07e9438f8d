// Pictures on their way, after picture.js: those that are chosen, dropped or pasted, how far one is sent, and questions
// that wait for it.
const sent = document.createElement('div');
sent.id = 'rp-picture-sent';
sent.hidden = true;
const tell = (words, error) => {
  if (!sent.isConnected) find('#rp-picture')?.before(sent);
  sent.className = `rp-notice ${error ? 'rp-error' : 'rp-info'} rp-progress`;
  sent.setAttribute('role', error ? 'alert' : 'status');
  const line = document.createElement('p');
  line.textContent = words;
  sent.replaceChildren(line);
  sent.hidden = false;
  if (error) sent.scrollIntoView({block: 'nearest'});
};

const input = () => find('#rp-picture-upload input[type=file], input#rp-picture-upload, #rp-picture-upload ~ input[type=file]')
  ?? [...tab.querySelectorAll('input[type=file]')].find(one => !one.closest('#rp-camera'));
// Offered first, so that a telephone shows its photographs; whatever else is chosen is told what it is.
const offer = () => { if (input()) input().accept = 'image/*,.heic,.heif,.avif'; };
offer();
tab.addEventListener('pointerdown', event => { if (event.target.closest('#rp-picture-upload')) offer(); }, true);
const wrong = file => {
  const most = find('[data-largest]')?.dataset;
  if (!file.size) return `${file.name} is empty.`;
  if (!most || file.size <= Number(most.largest)) return '';
  return `This picture is too large: it has ${(file.size / 1048576).toFixed(1)} MB, and at most ${most.told} are taken.`;
};
tab.addEventListener('change', event => {
  const file = event.target === input() ? event.target.files[0] : null;
  const fault = file && wrong(file);
  if (!fault) return;
  event.stopImmediatePropagation();
  event.target.value = '';
  tell(fault, true);
}, true);

// Dropped and pasted pictures go the way of an uploaded one.
const looks = file => file.type.startsWith('image/') || /\.(heic|heif|avif|tiff?|bmp)$/i.test(file.name);
takeDrops(tab, (files, folder) => {
  if (!files.length) return false;
  if (folder) tell('This is a folder. Drop one picture.', true);
  else hand(input, [...files].find(looks) ?? files[0]);
  return true;
});
document.addEventListener('paste', event => {
  const pasted = event.clipboardData;
  // What is copied out of a document is words, and often a picture of them too.
  const words = event.target.closest?.('textarea, input') && pasted.getData('text/plain').trim();
  const picture = [...pasted.files].find(looks);
  if (words || !picture || !box()?.offsetParent) return;
  hand(input, picture);
  event.preventDefault();
}, true);
// The address of a picture in another window leads nowhere from here.
tab.addEventListener('dragover', event => {
  if (event.dataTransfer.types.includes('text/uri-list') && !event.target.closest('textarea')) event.preventDefault();
});
tab.addEventListener('drop', event => {
  if (event.defaultPrevented || event.target.closest('textarea') || !event.dataTransfer.getData('text/uri-list')) return;
  event.preventDefault();
  tell('This was the address of a picture, and addresses are not fetched. Save the picture, then drop the file.', true);
});

// While a picture is on its way a question waits: it is about the new one.
let arriving = false;
let waits = false;
const bar = share => {
  tell(`Sending your picture… ${Math.round(100 * share)} %`);
  const how = document.createElement('progress');
  Object.assign(how, {max: 100, value: 100 * share, ariaLabel: 'Sending your picture'});
  sent.append(how);
};
const arrived = ok => {
  if (!arriving) return;
  arriving = false;
  sent.hidden = true;
  find('#rp-picture')?.classList.remove('rp-fading');
  if (waits && ok) setTimeout(() => find('#rp-question .submit-button')?.click(), 50);
  waits = false;
};
const begin = () => {
  arriving = true;
  find('#rp-picture')?.classList.add('rp-fading');
  bar(0);
  const number = () => find('#rp-picture-notice [data-arrived]')?.dataset.arrived;
  const before = number();
  const watch = new MutationObserver(() => {
    if (number() === before) return;
    watch.disconnect();
    arrived(!find('#rp-picture-notice .rp-notice'));
  });
  watch.observe(find('#rp-picture-notice'), {childList: true, subtree: true, attributes: true});
};
const hold = event => {
  const enter = event.type === 'keydown' && event.key === 'Enter' && !event.shiftKey && event.target.closest('#rp-question');
  const press = event.type === 'click' && event.target.closest('#rp-question .submit-button');
  if (!arriving || !(enter || press)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  waits = Boolean(box().value.trim());
  if (waits) tell('Your new picture is on its way. Your question is asked when it is here.');
};
for (const type of ['keydown', 'click']) tab.addEventListener(type, hold, true);
const hush = () => { if (!arriving) sent.hidden = true; };
window.rapportPicture = {begin, bar, arrived, tell, hush, here: () => Boolean(box()?.offsetParent)};

// The page's own sending says nothing of how far it is; the same request by other means does.
if (!window.rapportSends) {
  window.rapportSends = window.fetch;
  window.fetch = (what, options) => {
    const now = window.rapportPicture;
    const upload = /\/upload(\?|$)/.test(String(what?.url ?? what)) && options?.body instanceof FormData;
    if (!upload || !now?.here()) return window.rapportSends(what, options);
    now.begin();
    return new Promise((done, failed) => {
      const request = new XMLHttpRequest();
      request.open('POST', String(what?.url ?? what));
      request.withCredentials = options.credentials === 'include';
      new Headers(options.headers ?? {}).forEach((value, name) => request.setRequestHeader(name, value));
      request.upload.onprogress = event => { if (event.lengthComputable) now.bar(event.loaded / event.total); };
      request.onload = () => {
        if (request.status >= 400) {
          now.arrived(false);
          now.tell(request.status === 413 ? 'This picture is too large.' : 'Your picture could not be sent. Try again.', true);
        } else now.tell('Looking at your picture…');
        done(new Response(request.response, {status: request.status, headers: {'content-type': 'application/json'}}));
      };
      request.onerror = () => {
        now.arrived(false);
        now.tell('Your picture could not be sent. Try again.', true);
        failed(new TypeError('the picture could not be sent'));
      };
      request.send(options.body);
    });
  };
}
