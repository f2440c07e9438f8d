// A page of a long conversation is packed text until its fold is opened; then a frame is built for it.
document.addEventListener("toggle", async (event) => {
  const place = event.target.open && event.target.querySelector("[data-page]");
  if (!place) return;
  const packed = Uint8Array.from(atob(place.dataset.page), (c) => c.charCodeAt(0));
  place.removeAttribute("data-page");
  const page = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "");
  frame.title = place.dataset.title;
  frame.srcdoc = await new Response(page).text();
  place.append(frame);
}, true);
