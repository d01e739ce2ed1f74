"""JSON extraction: a short text and wanted keys in, one JSON object out.

Called by mixture.py and make_heldout.py. Strings (people, cities, codes, things) follow the train/test split of words.py; absent keys
become null. Standard library only.
"""
import json

import gen_prose
import words as w


def _v(make):
    return lambda rng, split: w.pick(rng, make, split, "value/")


def _n(low, high):
    return lambda rng, split: rng.randint(low, high)


def _c(pool):
    return lambda rng, split: rng.choice(pool)


# Per domain: field -> maker, then sentences, each naming the fields it states.
_DOMAINS = [
    ({"name": _v(w.person), "age": _n(18, 90), "city": _v(w.city), "job": _c(w.JOBS), "pet": _c(w.ANIMALS), "phone": _n(100000, 999999)},
     ["{name} is {age} years old.", "{name}, {age}, lives in {city}.", "{name} works as a {job} in {city}.", "The home of {name} is {city}.", "The phone number of {name} is {phone}.",
      "{name} has a {pet}.", "Call {name} at {phone}.", "Meet {name}, a {job} of {age} years."]),
    ({"order": _v(w.code), "customer": _v(w.person), "item": _v(w.item), "quantity": _n(1, 40), "total": _n(5, 999), "date": _v(w.date), "city": _v(w.city)},
     ["Order {order}: {customer} bought {quantity} x {item} for {total} dollars.", "{customer} ordered {quantity} pieces of {item}.", "The order number is {order} and the total is {total} dollars.",
      "It goes to {city} on {date}.", "Delivery on {date}.", "{customer} from {city} placed order {order}.", "Total: {total}. Item: {item}."]),
    ({"event": _c(["meeting", "concert", "lesson", "lunch", "party", "workshop", "talk", "exam"]), "day": _c(w.DAYS), "time": _v(w.clock), "place": _c(w.PLACES), "host": _v(w.person), "guests": _n(2, 300)},
     ["The {event} is on {day} at {time}.", "The {event} takes place in the {place}.", "{host} invites {guests} people to a {event}.", "We meet on {day} at {time} in the {place}.", "{host} is the host.", "On {day} there is a {event}."]),
    ({"product": _v(w.item), "price": _n(1, 900), "color": _c(w.COLORS), "stock": _n(0, 99), "brand": _v(w.madeup), "weight": _n(1, 80)},
     ["The {product} costs {price} euros.", "The {product} is made by {brand}.", "There are {stock} pieces left.", "Its color is {color} and it weighs {weight} kg.", "{brand} sells a {product} for {price}.", "Color: {color}. Stock: {stock}."]),
    ({"from": _v(w.city), "to": _v(w.city), "date": _v(w.date), "train": _v(w.code), "seat": _n(1, 120), "departure": _v(w.clock)},
     ["Train {train} goes from {from} to {to}.", "The trip from {from} to {to} is on {date}.", "It leaves at {departure}, seat {seat}.", "Your seat is {seat}.", "Departure is at {departure} on {date}.", "Ticket for {train}: {from} - {to}."]),
    ({"invoice": _v(w.code), "company": _v(w.madeup), "amount": _n(10, 9999), "due": _v(w.date), "contact": _v(w.person), "email": _v(w.email)},
     ["Invoice {invoice} from {company} is due on {due}.", "{company} asks for {amount} dollars.", "Questions go to {contact}, {email}.", "The amount of {amount} must be paid by {due}.", "{contact} works for {company}.", "Write to {email} about {invoice}."]),
    ({"room": _n(1, 500), "guest": _v(w.person), "nights": _n(1, 20), "arrival": _v(w.date), "hotel": _v(w.madeup), "city": _v(w.city)},
     ["{guest} stays {nights} nights in room {room}.", "{guest} arrives on {arrival} at the hotel {hotel} in {city}.", "Hotel {hotel}, room {room}.", "The guest is {guest}; the stay is {nights} nights.", "Arrival in {city}: {arrival}."]),
    ({"book": _v(w.item), "author": _v(w.person), "year": _n(1850, 2024), "pages": _n(40, 900), "language": _c(w.LANGUAGES), "price": _n(3, 90)},
     ["The book \"{book}\" is by {author}.", "{author} wrote it in {year}.", "It has {pages} pages and is in {language}.", "\"{book}\" costs {price} dollars.", "Published in {year}, {pages} pages.", "{author} writes in {language}."]),
]
_ASK = ["Extract {keys} as JSON.", "Give me {keys} as JSON.", "Return JSON with {keys}.", "Extract JSON with the keys {keys}.", "Write {keys} as a JSON object.", "JSON with {keys}, please.",
        "Reply with JSON only. Keys: {keys}.", "Which {keys}? Answer as JSON."]
_SYSTEM = [None] * 8 + ["You extract data. Reply with JSON only.", "You are a helpful assistant.", "Answer in JSON."]


def _fields_in(sentence):
    return [part.split("}")[0] for part in sentence.split("{")[1:]]


def _listing(rng, values):
    """The plain form: one `key: value` line per field."""
    sep = rng.choice((": ", ": ", " = ", " - "))
    return rng.choice(("\n", "\n", "; ", ", ")).join("%s%s%s" % (k, sep, v) for k, v in values.items())


def _facts(rng, split):
    """(text, stated values, all field names)."""
    if rng.random() < 0.25:
        makers = {}
        for fields, _ in rng.sample(_DOMAINS, 2):
            makers.update(fields)
        for _ in range(rng.choice((0, 1, 2))):
            makers[w.pick(rng, lambda r: r.choice(w.ADJECTIVES) + "_" + r.choice(w.THINGS) if r.random() < 0.5 else w.madeup(r, False), split, "key/")] = rng.choice(
                (_v(w.code), _v(w.item), _n(1, 9999), _v(w.madeup)))
        keys = rng.sample(list(makers), rng.randint(3, 5))
        values = {k: makers[k](rng, split) for k in keys}
        return _listing(rng, values), values, list(makers)
    fields, sentences = rng.choice(_DOMAINS)
    chosen, stated = [], []
    for sentence in rng.sample(sentences, len(sentences)):
        new = [f for f in _fields_in(sentence) if f not in stated]
        if new and len(chosen) < 4 and (not chosen or rng.random() < 0.8):
            chosen.append(sentence)
            stated += new
    values = {f: fields[f](rng, split) for f in stated}
    lines = [s.format(**values) for s in chosen]
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), gen_prose.sentence(rng))
    return " ".join(lines), values, list(fields)


def _join(rng, keys):
    if len(keys) == 1:
        return keys[0]
    return ", ".join(keys) if rng.random() < 0.5 else ", ".join(keys[:-1]) + " and " + keys[-1]


def _request(rng, values, fields):
    """(what the user asks, wanted keys)."""
    keys = rng.sample(list(values), rng.randint(1, min(4, len(values))))
    absent = [f for f in fields if f not in values]
    if absent and rng.random() < 0.12:
        keys.insert(rng.randrange(len(keys) + 1), rng.choice(absent))
    return rng.choice(_ASK).format(keys=_join(rng, keys)), keys


def sample(rng, split, thinking):
    """Training samples may ask for several objects of one text, one after the other."""
    text, values, fields = _facts(rng, split)
    turns = rng.choice((1, 1, 2, 3)) if split == "train" else 1
    system = rng.choice(_SYSTEM)
    messages = [{"role": "system", "content": system}] if system else []
    for turn in range(turns):
        ask, keys = _request(rng, values, fields)
        if turn == 0:
            order = rng.random()
            ask = text + "\n\n" + ask if order < 0.45 else ask + "\n\n" + text if order < 0.8 else ask + "\nText: " + text
        reply = {"role": "assistant", "content": json.dumps({k: values.get(k) for k in keys}, ensure_ascii=False)}
        if thinking and turn == turns - 1:
            reply["reasoning_content"] = "\n".join("%s: %s" % (k, values.get(k, "not in the text")) for k in keys)
        messages += [{"role": "user", "content": ask}, reply]
    return {"kind": "json", "messages": messages, "thinking": thinking}
