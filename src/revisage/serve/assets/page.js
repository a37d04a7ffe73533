() => {
  // Changes of the status are read out.
  const status = document.querySelector("#status");
  status?.setAttribute("role", "status");
  // Photos are pasted anywhere but into text fields.
  document.addEventListener("paste", event => {
    const input = document.querySelector("#add input[type=file]");
    const files = [...(event.clipboardData?.files ?? [])].filter(file => file.type.startsWith("image/"));
    if (!input || !files.length) return;
    const transfer = new DataTransfer();
    files.forEach(file => transfer.items.add(file));
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
  // Buttons are named by what they show, not by labels that say something else; small screens go to the first result.
  let shown = false;
  new MutationObserver(() => {
    for (const button of document.querySelectorAll(".upload-container[aria-label], #photos .thumbnail-item[aria-label]"))
      button.removeAttribute("aria-label");
    const has = !!document.querySelector(".compare");
    if (has && !shown && window.innerWidth <= 760)  // and again, once what is below makes the page long enough
      for (const wait of [0, 600]) setTimeout(() => document.querySelector("#results").scrollIntoView(), wait);
    shown = has;
  }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-label"] });
}
