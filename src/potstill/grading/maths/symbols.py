"""What symbols and commands of mathematics become in the one notation of :mod:`normalise`."""

from __future__ import annotations

__all__ = ["COMMANDS", "MONEY", "SYMBOLS"]

# Stands for a currency dollar, so that a "$" around mathematics can be dropped.
MONEY = "＄"

SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "﹣": "-", "－": "-", "＋": "+",
    "×": "*", "·": "*", "⋅": "*", "∙": "*", "∗": "*", "⁎": "*", "÷": "/", "∕": "/", "⁄": "/",
    "／": "/", "∶": ":", "：": ":", "，": ",", "、": ",", "（": "(", "）": ")", "＝": "=", "º": "°",
    "˚": "°", "∘": "°", "⩽": "≤", "⩾": "≥", "≦": "≤", "≧": "≥", "⟨": "⟨", "〈": "⟨", "〉": "⟩",
    "Ø": "∅", "⋃": "∪", "𝜋": "π", "П": "π", "ℼ": "π", "𝑒": "e", "ℯ": "e", "𝑖": "i", "ⅈ": "i",
    "𝑥": "x", "𝑦": "y", "％": "%", "…": "...", "⋯": "...", "’": "'", "‘": "'", "“": "\"",
    "”": "\"", "′": "'", "\xa0": " ", "\u2009": " ", "\u202f": " ", "\u2002": " ",
    "\u2003": " ", "\u200a": " ", "\u3000": " ", "\t": " ", "\r": "\n", "∛": "\\sqrt[3]",
    "∜": "\\sqrt[4]", "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}",
    "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "⅕": "\\frac{1}{5}", "⅖": "\\frac{2}{5}",
    "⅗": "\\frac{3}{5}", "⅘": "\\frac{4}{5}", "⅙": "\\frac{1}{6}", "⅚": "\\frac{5}{6}",
    "⅐": "\\frac{1}{7}", "⅛": "\\frac{1}{8}", "⅜": "\\frac{3}{8}", "⅝": "\\frac{5}{8}",
    "⅞": "\\frac{7}{8}", "⅑": "\\frac{1}{9}", "⅒": "\\frac{1}{10}", MONEY: MONEY,
}  # fmt: skip
SYMBOLS |= {
    "µ": "μ", "Ω": "Ω", "℃": "°C", "℉": "°F", "∖": "∖", "⧵": "∖", "≔": "=", "﹦": "=", "：": ":",
    "；": ";",
    "。": ".", "．": ".", "！": "!", "？": "?", "［": "[", "］": "]", "｛": "⦃", "｝": "⦄",
    "＜": "<", "＞": ">", "｜": "|", "∣": "|", "＊": "*", "＾": "^", "～": "~", "٫": ".", "٬": ",",
    "٪": "%", "×": "*", "⨯": "*", "✕": "*", "✖": "*", "÷": "/", "➗": "/", "✓": "", "✔": "",
    "✅": "",
    "∎": "", "□": "", "■": "", "⋃": "∪", "∨": "∨", "∧": "∧", "≃": "≈", "⪅": "≤", "⩵": "=",
    "𝐑": "ℝ", "𝐙": "ℤ", "𝐍": "ℕ", "𝐐": "ℚ",
}  # fmt: skip

COMMANDS = {
    "cdot": "*", "times": "*", "ast": "*", "div": "/", "pm": "±", "mp": "∓", "infty": "∞",
    "pi": "π", "cup": "∪", "bigcup": "∪", "cap": "∩", "leq": "≤", "le": "≤", "leqslant": "≤",
    "geq": "≥", "ge": "≥", "geqslant": "≥", "neq": "≠", "ne": "≠", "lt": "<", "gt": ">",
    "approx": "≈", "in": "∈", "langle": "⟨", "rangle": "⟩", "emptyset": "∅", "varnothing": "∅",
    "degree": "°", "circ": "°", "lbrace": "⦃", "rbrace": "⦄", "lbrack": "[", "rbrack": "]",
    "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "imath": "i", "jmath": "j", "ldots": "...",
    "dots": "...", "cdots": "...", "colon": ":", "lnot": "not ", "dfrac": "\\frac",
    "tfrac": "\\frac", "cfrac": "\\frac", "dbinom": "\\binom", "tbinom": "\\binom", "euro": "€",
    "pounds": "£", "percent": "%", "textdollar": MONEY, "quad": " ", "qquad": " ", "left": "",
    "right": "", "big": "", "Big": "", "bigg": "", "Bigg": "", "bigl": "", "bigr": "",
    "Bigl": "", "Bigr": "", "displaystyle": "", "textstyle": "", "limits": "", "nolimits": "",
    "strut": "", "hfill": "", "theta": "θ", "alpha": "α", "beta": "β", "gamma": "γ",
    "delta": "δ", "lambda": "λ", "mu": "μ", "phi": "φ", "varphi": "φ", "omega": "ω",
    "sigma": "σ", "rho": "ρ", "tau": "τ", "epsilon": "ε", "varepsilon": "ε",
}  # fmt: skip
COMMANDS |= {
    "large": "", "Large": "", "LARGE": "", "huge": "", "small": "", "normalsize": "", "bm": "",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉",
    "setminus": "∖", "smallsetminus": "∖", "backslash": "∖", "forall": "∀", "equiv": "≡",
    "notin": "∉", "Omega": "Ω", "ohm": "Ω", "nicefrac": "\\frac", "sfrac": "\\frac",
    "flatfrac": "\\frac", "bigl": "", "land": " and ", "lor": " or ", "R": "ℝ", "Z": "ℤ",
    "N": "ℕ", "Q": "ℚ", "reals": "ℝ", "thinspace": " ", "medspace": " ", "hspace": " ",
    "implies": "⇒", "Rightarrow": "⇒", "to": "→", "mapsto": "↦", "longmapsto": "↦",
    "rightarrow": "→", "checkmark": "", "square": "",
    "blacksquare": "", "Box": "", "qed": "", "lvert": "|", "rvert": "|", "lVert": "|", "rVert": "|",
    "upmu": "μ", "micro": "μ", "celsius": "°C", "mod": " mod ", "bmod": " mod ", "pmod": " mod ",
    "eta": "η", "psi": "ψ", "xi": "ξ", "kappa": "κ", "nu": "ν", "chi": "χ", "Delta": "Δ",
    "Gamma": "Γ", "Phi": "Φ", "Psi": "Ψ", "Sigma": "Σ", "Theta": "Θ", "Lambda": "Λ",
}  # fmt: skip
