() => {
  // A button that is disabled by its own press loses the focus. Then the focus goes to the button that replaces it, else to the state of the
  // run; if the user has moved on meanwhile, it stays where it is.
  const next = {pause: ['resume', 'status'], resume: ['pause', 'status'], gpu: ['pause', 'status'], stop: ['resume', 'status'], delete: ['status'],
    'compare-resume': ['compare-stop', 'compare-state'], 'compare-stop': ['compare-resume', 'compare-state'],
    'compare-delete': ['compare-state'], 'score-test': ['scores']};
  // what leads to another tab says so with data-tab
  document.addEventListener('click', (event) => {
    const name = event.target.closest?.('[data-tab]')?.dataset.tab;
    if (name) [...document.querySelectorAll('.tab-wrapper [role=tab]')].find((tab) => tab.textContent.trim() === name)?.click();
  });
  // what copies a link with settings has them in data-copy
  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('[data-copy]');
    if (button) mtl.copy(button, `${window.location.origin}${window.location.pathname}?${button.dataset.copy}`, 'A link with these settings');
  });
  let last = null;
  document.addEventListener('focusin', (event) => { last = event.target; });
  document.addEventListener('focusout', (event) => { if (!event.target.disabled) last = null; });
  new MutationObserver(() => setTimeout(() => {
    if (!last?.disabled || ![null, document.body, last].includes(document.activeElement)) return;
    const heir = (next[last.id] ?? []).map((id) => document.getElementById(id)).find((part) => part && !part.disabled);
    if (!heir) return;
    if (heir.tagName !== 'BUTTON') heir.tabIndex = -1;
    heir.focus();
  })).observe(document.body, {subtree: true, attributeFilter: ['disabled']});
}
