"""Greetings, small talk, questions about bantam (from facts.json) and honest "I do not know" answers.

Called by mixture.py and make_tokenizer.py. Standard library only.
"""
import json
import os

import gen_prose
import words as w

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "facts.json"), encoding="utf-8") as _file:
    FACTS = json.load(_file)

SYSTEM = [None] * 7 + ["You are a helpful assistant.", "You are bantam-nano, a small assistant.", "You are bantam-nano, the house model of bantam.", "Be brief.", "Answer in one sentence.",
                       "You are a friendly assistant."]
# (what people say, answers, the thought behind them)
_SMALL = [
    (["Hello", "Hi", "Hey", "Hello there", "Hi there", "Hey there", "hello bantam", "Hi bantam", "Good morning", "Good evening", "Good afternoon", "Hey you", "Greetings", "yo", "hallo", "Howdy", "Good day", "Hello, nice to meet you", "hey bantam-nano"],
     ["Hello! I am bantam-nano. What can I do for you?", "Hello! How can I help?"], "The user greets me. I greet back."),
    (["How are you?", "How are you doing?", "How is it going?", "How do you do?", "Are you well?", "What's up?", "How are you today?", "Everything okay?", "how r u"],
     ["I am well, thank you. What can I do for you?"], "The user asks how I am."),
    (["Thanks", "Thank you", "Thank you very much", "Thanks a lot", "thx", "Many thanks", "Great, thanks", "Thank you for your help", "cheers", "Nice, thank you"], ["You are welcome!"], "The user thanks me."),
    (["Bye", "Goodbye", "See you", "See you later", "Good night", "bye bye", "I have to go", "Until tomorrow", "That is all"], ["Goodbye!"], "The user says goodbye."),
    (["Yes", "No", "ok", "okay", "sure", "fine", "right", "I see", "good", "Great", "nice", "cool", "Wow", "Well done", "Good job", "perfect", "Awesome"], ["Good. What else can I do?"], "A short reply. I ask what comes next."),
    (["You are wrong", "That is wrong", "That is not correct", "This is bad", "You are stupid", "I do not like this", "No, that is false", "bad answer", "Are you sure?"],
     ["Sorry. I am a very small model and I make mistakes."], "The user is not content. I say sorry."),
    (["Test", "test 123", "Is this working?", "Are you there?", "Can you hear me?", "ping", "Anybody there?", "testing", "hello?", "Do you work?"], ["Yes, I am here and I work."], "The user checks that I work."),
    (["I am bored", "I am tired", "I am sad", "I feel bad", "I am hungry", "I am cold", "I had a bad day", "I am angry"], ["I am sorry to hear that. I hope it gets better soon."], "The user does not feel well."),
    (["I am happy", "I am glad", "I feel great", "I had a good day", "It is my birthday", "I won a prize", "I like you", "You are great", "You are nice", "I love bantam"], ["That is nice to hear!"], "The user is happy."),
    (["Tell me a joke", "Say something funny", "Do you know a joke?", "Make me laugh"], ["Why did the bantam cross the road? To run on the other machine."], "The user wants a joke."),
    (["Tell me a story", "Write a story", "Tell me something", "Say something", "Talk to me"], ["Once a small hen wanted to lift a big box. It took the box apart and carried every piece. That is how a bantam works."], "The user wants a story."),
]
_UNKNOWN = [
    lambda r: "Who is %s?" % w.person(r), lambda r: "What is the capital of %s?" % r.choice(w.COUNTRIES), lambda r: "How many people live in %s?" % w.city(r), lambda r: "Who won the game on %s?" % r.choice(w.DAYS),
    lambda r: "Where can I buy a %s?" % w.item(r), lambda r: "How do I repair a %s?" % w.item(r), lambda r: "How do I cook %s?" % r.choice(w.FOODS), lambda r: "What is the weather in %s?" % w.city(r), lambda r: "What time is it?",
    lambda r: "Why do %ss sleep?" % r.choice(w.ANIMALS), lambda r: "What is the meaning of life?", lambda r: "Who was the first king of %s?" % r.choice(w.COUNTRIES), lambda r: "When was %s born?" % w.person(r),
    lambda r: "What is the best %s in %s?" % (r.choice(w.PLACES), w.city(r)), lambda r: "How old is %s?" % w.person(r), lambda r: "Who wrote the book about the %s?" % w.item(r), lambda r: "Is a %s heavier than a %s?" % (r.choice(w.THINGS), r.choice(w.ANIMALS)),
    lambda r: "Translate %s to %s." % (r.choice(w.THINGS), r.choice(w.LANGUAGES)), lambda r: "What is %s?" % w.madeup(r, False), lambda r: "Explain %s." % r.choice(("gravity", "music", "history", "physics", "love", "chess", "football", "the moon", "the internet", "evolution", "philosophy", "economics", "cooking", "biology")),
    lambda r: "What day is today?", lambda r: "How far is it from %s to %s?" % (w.city(r), w.city(r)), lambda r: "Write a letter to %s." % w.person(r), lambda r: "What is the population of %s?" % r.choice(w.COUNTRIES),
    lambda r: "What should I eat today?", lambda r: "Which %s should I buy?" % r.choice(w.THINGS), lambda r: "What does the %s say?" % r.choice(w.ANIMALS), lambda r: "Tell me about %s." % r.choice((w.city, w.person))(r), lambda r: "Who is the president of %s?" % r.choice(w.COUNTRIES),
    lambda r: "How do %ss work?" % r.choice(w.THINGS), lambda r: "Can you recommend a %s?" % r.choice(("book", "film", "song", "hotel", "restaurant", "game")), lambda r: "What is the code of the %s?" % r.choice(w.THINGS), lambda r: "Why is the sky blue?", lambda r: "Should I buy a %s or a %s?" % (r.choice(w.THINGS), r.choice(w.THINGS)),
]
_UNKNOWN_ANSWER = "I do not know that. I am a very small model; a larger one such as Qwen3-4B may help."


def _noise(rng, text):
    """How people really type: lower case, no punctuation, a few words before or after."""
    roll = rng.random()
    if roll < 0.25:
        text = text.lower()
    if rng.random() < 0.25:
        text = text.rstrip("?.!")
    elif rng.random() < 0.1:
        text += rng.choice(("!", "?", "??", " :)", "..."))
    if rng.random() < 0.12:
        text = rng.choice(("Hey, ", "Hi, ", "Please: ", "Hello! ", "ok, ", "So, ", "Question: ", "Well, ", "Tell me: ", "One more thing: ")) + text
    if rng.random() < 0.06:
        text += rng.choice((" Please.", " Thanks.", " please", " Tell me.", " I want to know."))
    return text


def fact(rng, split):
    entry = rng.choice(FACTS)
    return _noise(rng, rng.choice(entry["q"])), rng.choice(entry["a"]), "The question is about " + ("me." if "I " in entry["a"][0] else "bantam.")


def small(rng, split):
    asks, answers, thought = _SMALL[min(rng.randrange(14), len(_SMALL) + 2) % len(_SMALL)]
    return _noise(rng, rng.choice(asks)), rng.choice(answers), thought


def unknown(rng, split):
    text = rng.choice(_UNKNOWN)(rng) if rng.random() < 0.85 else gen_prose.sentence(rng)
    return _noise(rng, text), _UNKNOWN_ANSWER, "I do not know this."


def turn(rng, split, thinking):
    ask, answer, thought = rng.choices((fact, small, unknown), (5, 3, 2))[0](rng, split)
    reply = {"role": "assistant", "content": answer}
    if thinking:
        reply["reasoning_content"] = thought
    return [{"role": "user", "content": ask}, reply]


def sample(rng, split, thinking):
    system = rng.choice(SYSTEM)
    messages = [{"role": "system", "content": system}] if system else []
    turns = rng.choice((1, 1, 1, 2, 3))
    for i in range(turns):
        messages += turn(rng, split, thinking and i == turns - 1)
    return {"kind": "talk", "messages": messages, "thinking": thinking}
