element.addEventListener('click', ({target}) => {
  const button = target.closest('[data-answer]');
  if (button?.getAttribute('aria-pressed') === 'false') trigger('input', {answer: button.dataset.answer});
});
