"""Texts for the tokenizer's oracles: real ones from ../shared/data and this interpreter's library, generated ones for
every script and every corner. All draws come from the given random.Random, so a seed names a corpus."""
import glob
import os
import random
import sysconfig
import unicodedata

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ.get("BANTAM_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
SPACES = "\t\n\x0b\x0c\r \x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e" + "".join(
    chr(c) for c in range(0x2000, 0x2010)) + "\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
MARKS = [chr(c) for c in range(0x110000) if unicodedata.combining(chr(c))]
DECOMPOSING = [chr(c) for c in range(0x110000)
               if unicodedata.decomposition(chr(c)) and not unicodedata.decomposition(chr(c)).startswith("<")]
BLOCKS = {
    "latin": (0x41, 0x24F), "greek": (0x370, 0x3FF), "cyrillic": (0x400, 0x52F), "hebrew": (0x591, 0x5F4),
    "arabic": (0x600, 0x6FF), "devanagari": (0x900, 0x97F), "bengali": (0x980, 0x9FE), "tamil": (0xB82, 0xBFA),
    "thai": (0xE01, 0xE5B), "tibetan": (0xF00, 0xFDA), "hangul": (0xAC00, 0xD7A3), "jamo": (0x1100, 0x11FF),
    "kana": (0x3041, 0x30FF), "han": (0x4E00, 0x9FFF), "han_compat": (0xF900, 0xFAFF), "forms": (0xFB00, 0xFDFF),
    "pictographs": (0x1F300, 0x1F6FF), "music": (0x1D100, 0x1D1FF), "numbers": (0x2150, 0x218F), "ext_b": (0x20000, 0x2A6DF),
}
# The commonest characters of running Chinese, most frequent first, so that generated text meets real merges.
HAN = ("的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方"
       "多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情"
       "明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世")


def shared(path):
    return os.path.join(SHARED, "data", path)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def english():
    return read(shared("text/news-from-nowhere.txt"))


def code():
    """This project's own sources and the Python library's, joined."""
    paths = sorted(glob.glob(os.path.join(ROOT, "src", "**", "*.cpp"), recursive=True))
    library = sysconfig.get_paths()["stdlib"]
    paths += sorted(glob.glob(os.path.join(library, "*.py")))[:60]
    paths += sorted(glob.glob(os.path.join(library, "json/*.py")))
    return "\n".join(read(path) for path in paths)


def chinese(rng, characters):
    """Clauses of frequent characters (Zipf-like), with the punctuation, digits and Latin words such text has."""
    weights = [1 / (rank + 8) for rank in range(len(HAN))]
    out, length = [], 0
    while length < characters:
        clause = "".join(rng.choices(HAN, weights, k=rng.randint(3, 16)))
        if rng.random() < 0.05:
            clause += rng.choice(["AI", "2024", "CPU", "3.5", " Python ", "100%"])
        clause += rng.choice("，，，。。、！？；：”\n")
        out.append(clause)
        length += len(clause)
    return "".join(out)


def slices(rng, text, count, longest):
    for _ in range(count):
        begin = rng.randrange(len(text))
        yield text[begin:begin + rng.randint(1, longest)]


def scalar(rng):
    while True:
        code_point = rng.randrange(0x110000)
        if not 0xD800 <= code_point <= 0xDFFF:
            return chr(code_point)


def block_text(rng, name):
    low, high = BLOCKS[name]
    out = []
    for _ in range(rng.randint(1, 40)):
        roll = rng.random()
        out.append(chr(rng.randint(low, high)) if roll < 0.8 else " " if roll < 0.9 else rng.choice(".,'-\n1")
                   if roll < 0.95 else rng.choice(MARKS))
    return "".join(out)


def emoji(rng):
    people, tones = "👨👩👧👦🧑👮🏃🤷", ["", "🏻", "🏽", "🏿"]
    parts = []
    for _ in range(rng.randint(1, 8)):
        parts.append("\u200d".join(rng.choice(people) + rng.choice(tones) for _ in range(rng.randint(1, 4))))
        parts.append(rng.choice(["", "\ufe0f", "\u200d♂️", "🇩🇪", "1️⃣", " ", "❤️\u200d🔥", "\u20e3", "text"]))
    return "".join(parts)


def white(rng):
    others = ["a", "1", ".", "é", "中", "'s", "\r\n", "  "]
    return "".join(rng.choice(SPACES) if rng.random() < 0.75 else rng.choice(others)
                   for _ in range(rng.randint(1, 24)))


def digits(rng):
    kinds = ["0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३", "²³¹", "½¾", "ⅣⅨ", "𝟘𝟙", "一二三", "1٣"]
    return "".join(rng.choice(rng.choice(kinds)) if rng.random() < 0.8 else rng.choice(" .,-+eE%$")
                   for _ in range(rng.randint(1, 24)))


def contraction(rng):
    quotes = ["'", "'", "'", "’", "''", " '"]
    tails = ["s", "t", "re", "ve", "m", "ll", "d", "S", "T", "RE", "vE", "lL", "\u017f", "\u212a", "ß", "l", "r", "v",
             "st", "\ufb05", "\ufb06", "ren", "x", "ſſ", "", "İ"]
    return "".join(rng.choice(["I", "you", " ", "\n", "1", ".", "中", ""]) + rng.choice(quotes) + rng.choice(tails)
                   for _ in range(rng.randint(1, 6)))


def combining(rng):
    out = []
    for _ in range(rng.randint(1, 12)):
        out.append(rng.choice(DECOMPOSING) if rng.random() < 0.3 else rng.choice("aeiouAOEnc가한 \u0915\u09c7\u0bc6\u1100"))
        out.extend(rng.choice(MARKS) for _ in range(rng.choice([0, 0, 1, 1, 2, 5])))
        if rng.random() < 0.2:
            out.append(chr(rng.randint(0x1161, 0x11C2)))
        if rng.random() < 0.3:
            out.append(rng.choice(["\u09be", "\u0bbe", "\u0dcf", "\u3099", "\u309a", "\u0338", "\u1b35"]))
    return "".join(out)


def decomposed(rng, text):
    return unicodedata.normalize(rng.choice(["NFD", "NFKD", "NFC"]), text)


def with_control(rng, text, controls):
    """Control tokens, broken, doubled and nested, dropped into a text."""
    out = list(text)
    for _ in range(rng.randint(1, 5)):
        token = rng.choice(controls)
        roll = rng.random()
        if roll < 0.15:
            token = token[:rng.randrange(len(token))]
        elif roll < 0.3:
            token = token[:rng.randrange(len(token))] + token
        elif roll < 0.4:
            token += rng.choice([" ", "\n", "\u0301", "\u0338", "\u3000 "])
        out.insert(rng.randint(0, len(out)), token)
    return "".join(out)


def random_bytes(rng):
    """Bytes as a careless program would decode them; half the time near to UTF-8."""
    raw = bytes(rng.randrange(256) for _ in range(rng.randint(1, 60)))
    if rng.random() < 0.5:
        raw = bytearray(block_text(rng, rng.choice(list(BLOCKS))).encode())
        for _ in range(rng.randint(1, 4)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw).decode("utf-8", "replace")


def long_runs(size):
    """Runs of one class, `size` characters each: what made recursive and quadratic tokenizers fall over."""
    yield from ("a" * size, "ab" * (size // 2), "7" * size, " " * size, "\n" * size, " \n" * (size // 2), "!" * size,
                "\t " * (size // 2) + "x", "\u4e2d" * size, "\u0301" * size, "a" + "\u0301\u0323" * (size // 2),
                "\U0001f600" * size, "'s" * (size // 2), "<" * size, "\u1100\u1161" * (size // 2), "'" * size)
