// The sentences of a number: closed with the button or Escape, filtered, continued, or put into the Predict tab.
const find = () => JSON.parse(element.querySelector('section').dataset.find);
const ask = (change) => { isMore = 'shown' in change; trigger('input', {find: JSON.stringify({...find(), ...change})}); };
const close = () => {
  trigger('clear');
  document.querySelector('#scores [data-open]')?.focus();
};
let isMore, shown = 0;
element.addEventListener('click', async (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if ('close' in button.dataset) close();
  if ('more' in button.dataset) ask({shown: Number(button.dataset.more)});
  if (!('ask' in button.dataset)) return;
  [...document.querySelectorAll('[role=tab]')].find((tab) => tab.textContent.trim() === 'Predict').click();
  let box;
  for (let tries = 0; !(box = document.querySelector('#text textarea')) && tries < 100; tries++)  // the tab may never have been drawn
    await new Promise((done) => setTimeout(done, 50));
  if (!box) return;
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(box, button.dataset.ask);
  box.dispatchEvent(new Event('input', {bubbles: true}));
  box.focus();
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  ask({words: element.querySelector('input').value});
});
element.addEventListener('keydown', (event) => { if (event.key === 'Escape') close(); });
// the focus goes to the first sentence that is new, or to the heading
new MutationObserver(() => {
  const items = element.querySelectorAll('li'), before = isMore ? shown : 0;
  shown = items.length;
  isMore = false;
  if (!before) element.scrollTop = 0;
  (before && items[before] || element.querySelector('h2'))?.focus({preventScroll: !before});
}).observe(element, {childList: true, subtree: true});
