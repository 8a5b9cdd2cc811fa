// Files over the limit are held back where they come in: sent, they would take minutes to be refused.

/**
 * @param {HTMLElement} element in one row with what files are put into
 * @param {{ trigger: (event: string) => void, mostBytes: number }} options
 */
export function mount(element, { trigger, mostBytes }) {
  const row = element.closest(".row");
  /** @param {Event} event @param {FileList | null | undefined} files */
  const heldBack = (event, files) => {
    if (![...(files ?? [])].some((file) => file.size > mostBytes)) return false;
    event.preventDefault();
    event.stopImmediatePropagation();
    trigger("too_large");
    return true;
  };
  row.addEventListener(
    "change",
    (event) => {
      const { target } = event;
      if (target.type === "file" && heldBack(event, target.files)) target.value = ""; // it may be chosen again
    },
    true,
  );
  row.addEventListener(
    "drop",
    (event) => {
      // Where it was dropped still waits for the end of the dragging.
      if (heldBack(event, event.dataTransfer?.files)) event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true }));
    },
    true,
  );
}
