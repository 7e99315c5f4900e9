// Keep it or drop it; and what is new is said by the voice of the corrections.
element.addEventListener('click', ({target}) => {
  if (target.dataset.do) trigger('input', {act: target.dataset.do});
});
let before = '';
new MutationObserver(() => {
  const now = element.querySelector('.mtl-said')?.textContent ?? '';
  if (now && now !== before) document.getElementById('teach')?.dispatchEvent(new CustomEvent('say', {detail: now}));
  before = now;
}).observe(element, {childList: true, subtree: true});
