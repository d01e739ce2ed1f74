"""Filler sentences from a small grammar: background text for passages and the body of the tokenizer's corpus.

Called by gen_lookup.py, gen_json.py and make_tokenizer.py. Standard library only.
"""
import words as w


def _noun_phrase(rng):
    return rng.choice(("the", "the", "a", "every", "that", "one")) + " " + (
        rng.choice([x for x in w.ADJECTIVES if x[0] not in "aeiou"]) + " " if rng.random() < 0.5 else "") + rng.choice(
            [x for x in w.THINGS if x[0] not in "aeiou"])


def _subject(rng):
    return rng.choice((
        lambda: rng.choice(w.FIRST),
        lambda: "the " + rng.choice(w.JOBS),
        lambda: "the " + rng.choice(w.ADJECTIVES) + " " + rng.choice(w.ANIMALS),
        lambda: "my " + rng.choice(("neighbour", "brother", "sister", "friend", "teacher", "aunt", "uncle", "cousin")),
        lambda: rng.choice(("we", "they", "nobody", "someone", "the children", "the visitors", "most people"))))()


def _place(rng):
    return rng.choice(("near", "behind", "in front of", "at", "inside", "next to", "not far from")) + " the " + (
        rng.choice(w.ADJECTIVES) + " " if rng.random() < 0.3 else "") + rng.choice(w.PLACES)


def _time(rng):
    return rng.choice((
        lambda: "in the " + rng.choice(("morning", "afternoon", "evening")), lambda: "on " + rng.choice(w.DAYS),
        lambda: "last " + rng.choice(("week", "month", "year", "winter", "summer", "spring", "autumn")),
        lambda: "before " + rng.choice(("lunch", "dinner", "breakfast", "sunset", "the meeting")), lambda: "in " + rng.choice(w.MONTHS),
        lambda: "after the " + rng.choice(("rain", "storm", "concert", "market", "lesson", "game"))))()


def _weather(rng):
    return rng.choice(("the rain had stopped", "the wind was cold", "it was raining", "the sun was out", "snow lay on the roofs",
                       "the sky was clear", "the streets were wet", "fog hid the river"))


def _cap(text):
    return text[0].upper() + text[1:]


def sentence(rng):
    """One English sentence with a full stop."""
    form = rng.randrange(10)
    if form < 3:
        text = "%s %s %s %s" % (_subject(rng), rng.choice(w.VERBS_PAST), _noun_phrase(rng), _place(rng))
    elif form == 3:
        text = "%s, %s %s %s %s" % (_time(rng), _subject(rng), rng.choice(w.ADVERBS), rng.choice(w.VERBS_PAST), _noun_phrase(rng))
    elif form == 4:
        text = "there was %s %s, and %s" % (_noun_phrase(rng).replace("every ", "a ").replace("that ", "the "), _place(rng), _weather(rng))
    elif form == 5:
        text = "%s said that %s %s %s" % (_subject(rng), _subject(rng), rng.choice(w.VERBS_PAST), _noun_phrase(rng))
    elif form == 6:
        text = "because %s, %s stayed %s" % (_weather(rng), _subject(rng), _place(rng))
    elif form == 7:
        text = "the %s %s looked %s and %s" % (rng.choice(w.COLORS), rng.choice(w.THINGS), rng.choice(w.ADJECTIVES), rng.choice(w.ADJECTIVES))
    elif form == 8:
        text = "%s bought %s and some %s at the %s" % (_subject(rng), rng.choice(w.FOODS), rng.choice(w.FOODS), rng.choice(w.PLACES))
    else:
        text = "although %s, %s %s %s %s" % (_weather(rng), _subject(rng), rng.choice(w.VERBS_PAST), _noun_phrase(rng), _time(rng))
    return _cap(text) + "."


def paragraph(rng, count):
    return " ".join(sentence(rng) for _ in range(count))
