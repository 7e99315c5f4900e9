// A link puts its text into the box, as if somebody had typed it.
element.addEventListener('click', ({target}) => {
  const {text} = target.dataset, box = document.querySelector('#text textarea');
  if (!text) return;
  box.value = text;
  box.dataset.row = box.value;  // it is one row of the data: predict.js asks it as one text, until it is changed
  box.dispatchEvent(new Event('input', {bubbles: true}));
  box.focus();
});
