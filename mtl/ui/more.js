() => requestAnimationFrame(() => requestAnimationFrame(() => {
  // The help of a setting: its first sentence, and the rest behind 'more'. Gradio 6.31 shows help as plain text.
  for (const info of document.querySelectorAll('#settings .info-text:not(:has(details))')) {
    const text = info.firstChild, end = text?.data?.indexOf('. ') ?? -1;
    if (end < 0) continue;
    const more = document.createElement('details');
    more.append(document.createElement('summary'), text.data.slice(end + 2));
    more.firstChild.textContent = 'more';
    text.data = text.data.slice(0, end + 2);
    info.append(more);
  }
}))
