// The Picture tab in the browser: rounds that are selected, pictures that are dropped or pasted, how far one is sent, and
// questions that wait for it.
const tab = element.closest('.tabitem') ?? document;
const find = query => tab.querySelector(query);
element.addEventListener('click', event => {
  const round = event.target.closest('button[data-n]');
  if (round) trigger('select', {n: Number(round.dataset.n)});
});

// The newest round is in view, unless an earlier one is being read.
let rounds = 0;
new MutationObserver(() => {
  const log = find('#rp-rounds');
  // A question that waits for its answer is half a round, so that the answer, which is taller, comes into view too.
  const now = log.querySelectorAll('button[data-n]').length + log.querySelectorAll('li.rp-round').length / 2;
  if (now > rounds) log.scrollTop = log.scrollHeight;
  rounds = now;
}).observe(find('#rp-rounds'), {childList: true, subtree: true});

// Dropped and pasted pictures go the way of an uploaded one.
const give = files => {
  const input = find('#rp-picture-upload input[type=file], input#rp-picture-upload, #rp-picture-upload ~ input[type=file]')
    ?? [...tab.querySelectorAll('input[type=file]')].find(one => !one.closest('#rp-camera'));
  const picture = [...files].find(file => file.type.startsWith('image/') || /\.(heic|heif|avif|tiff?|bmp)$/i.test(file.name));
  return Boolean(input && picture) && hand(input, picture);
};
takeDrops(tab, files => {
  if (!files.length) return false;
  if (!give(files)) tell('This is not a picture we can read.', true);
  return true;
});
document.addEventListener('paste', event => {
  if (find('#rp-question')?.offsetParent && give(event.clipboardData.files)) event.preventDefault();
}, true);

// While a picture is on its way a question waits: it is about the new one.
const sent = document.createElement('div');
sent.id = 'rp-picture-sent';
sent.hidden = true;
let arriving = false;
let waits = false;
const address = () => find('#rp-picture image')?.getAttribute('href') ?? '';
const tell = (words, error) => {
  if (!sent.isConnected) find('#rp-picture')?.before(sent);
  sent.className = `rp-notice ${error ? 'rp-error' : 'rp-info'} rp-progress`;
  sent.setAttribute('role', 'status');
  const line = document.createElement('p');
  line.textContent = words;
  sent.replaceChildren(line);
  sent.hidden = false;
};
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
  const old = address();
  find('#rp-picture')?.classList.add('rp-fading');
  bar(0);
  const notice = find('#rp-picture-notice');
  let told = false; // an error from before stays until the next word
  const watch = new MutationObserver(records => {
    told ||= records.some(record => notice.contains(record.target));
    const failed = told && notice.querySelector('.rp-error');
    if (address() === old && !failed) return;
    watch.disconnect();
    arrived(!failed);
  });
  for (const place of [find('#rp-picture'), notice]) {
    watch.observe(place, {childList: true, subtree: true, attributes: true});
  }
};
const hold = event => {
  const enter = event.type === 'keydown' && event.key === 'Enter' && !event.shiftKey && event.target.closest('#rp-question');
  const press = event.type === 'click' && event.target.closest('#rp-question .submit-button');
  if (!arriving || !(enter || press)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  waits = Boolean(find('#rp-question textarea').value.trim());
  if (waits) tell('Your new picture is on its way. Your question is asked when it is here.');
};
for (const type of ['keydown', 'click']) tab.addEventListener(type, hold, true);
window.rapportPicture = {begin, bar, arrived, tell, here: () => Boolean(find('#rp-question')?.offsetParent)};

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
