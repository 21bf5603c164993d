// One text in the browser's local storage, where it has any: private windows and strict settings withhold it.

export interface LocalText {
  read(): string | null;
  /** Does nothing where it cannot be kept. */
  write(text: string): void;
}

export function localText(key: string): LocalText {
  return {
    read: () => {
      try {
        return localStorage.getItem(key);
      } catch {
        return null;
      }
    },
    write: (text) => {
      try {
        localStorage.setItem(key, text);
      } catch {
        // It holds for this visit.
      }
    },
  };
}
