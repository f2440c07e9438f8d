// The camera, after picture_sending.js: why it does not open is said, and a click before its first frame is not lost.
const CLOSED = {
  NotAllowedError: 'The camera may not be used. Allow it for this page in the browser, then try again.',
  NotFoundError: 'No camera was found.',
  NotReadableError: 'The camera could not be opened. Another program may be using it.',
};
tab.addEventListener('click', event => {
  if (navigator.mediaDevices?.getUserMedia || !event.target.closest('#rp-camera-image')) return;
  event.stopImmediatePropagation();
  tell('Browsers open the camera only for pages on this computer or over https.', true);
}, true);
if (navigator.mediaDevices?.getUserMedia && !window.rapportFilms) {
  window.rapportFilms = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async asked => {
    const now = asked?.video && window.rapportPicture?.here() ? window.rapportPicture : null;
    try {
      const film = await window.rapportFilms(asked);
      now?.hush();
      return film;
    } catch (fault) {
      if (!now) throw fault;
      now.tell(CLOSED[fault.name] ?? 'The camera could not be opened.', true);
      return new Promise(() => {}); // nothing else hears of it: the button stays, to try again
    }
  };
}
// The button is there before the film: without a frame its click would do nothing.
tab.addEventListener('click', event => {
  const shutter = event.target.closest("#rp-camera button[aria-label='capture photo']");
  const film = shutter && find('#rp-camera video');
  if (!film || film.videoWidth) return;
  event.stopImmediatePropagation();
  event.preventDefault();
  film.addEventListener('loadeddata', () => shutter.click(), {once: true}); // its size is known by then
}, true);
