"""Prompt text, token spans of the classes by offset mapping, category enhancement (iSeg 2409.03209, Cat-Cross)."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from iseg.errors import InputError, echo

CLASSES, CONTEXT = "{classes}", "{context}"


@dataclass(frozen=True)
class ClassWord:
    """How a class is spoken of.

    Attributes:
        word: what stands in the prompt, e.g. "potted plant".
        focus: the part of `word` whose tokens are read and enhanced, e.g. "plant"; None for all of it.
    """

    word: str
    focus: str | None = None


def class_words(classes: Sequence[str | ClassWord]) -> list[ClassWord]:
    """Words or phrases as `ClassWord`s. Raises InputError for an empty list."""
    if isinstance(classes, str):
        raise InputError(f"classes is the text {echo(classes)}: expected a list of words, e.g. ['dog', 'sofa']")
    if not hasattr(classes, "__iter__"):
        raise InputError(f"classes is {classes!r:.80}: expected a list of words, e.g. ['dog', 'sofa']")
    words = [entry if isinstance(entry, ClassWord) else ClassWord(entry) for entry in classes]
    if not words:
        raise InputError("no class was given: expected at least one class word")
    for position, entry in enumerate(words, 1):
        if not isinstance(entry.word, str) or not isinstance(entry.focus, str | None):
            raise InputError(f"class {position} is {entry.word!r:.80}: expected a word, e.g. 'dog'")
    return words


@dataclass(frozen=True)
class Prompt:
    """A prompt and where its classes stand.

    Attributes:
        text: the whole prompt.
        words: the K classes in it.
        spans: for each class the (start, end) character range of its focus words, end exclusive.
        enhancement: factor on the embeddings of the focus tokens.
    """

    text: str
    words: tuple[ClassWord, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    enhancement: float = 1.0


EMPTY = Prompt(" ")  # the prompt whose self-attention all seeds share


def build(template: str, words: Sequence[ClassWord], context: str = "", enhancement: float = 1.0) -> Prompt:
    """Fill `{classes}` (the words joined by " and ") and `{context}` of a template.

    Raises InputError for an empty class list or word, a focus that is not part of its word, a template without
    `{classes}`.
    """
    if template.count(CLASSES) != 1:
        raise InputError(f"prompt template {echo(template)} must contain {CLASSES} once")
    if not words:
        raise InputError("no class was given: expected at least one class word")
    text, tail = template.replace(CONTEXT, context).split(CLASSES)
    spans = []
    for position, entry in enumerate(words):
        word = entry.word.strip()
        if not word:
            raise InputError(f"class {position + 1} is empty: expected a word")
        focus = entry.focus or word
        if focus not in word:
            raise InputError(f"class {echo(word)}: its focus {echo(focus)} is not a part of it")
        text += " and " if position else ""
        start = len(text) + word.index(focus)
        spans.append((start, start + len(focus)))
        text += word
    return Prompt(text + tail, tuple(words), tuple(spans), enhancement)


def tokenize(tokenizer, prompt: Prompt) -> tuple[list[int], list[list[int]]]:
    """Token ids of a prompt, padded or cut to the model's length L, and the token indices of each class's focus.

    Args:
        tokenizer: a fast CLIP tokenizer (offset mapping).
        prompt: of `build`, or `EMPTY`.

    Returns:
        ids: L integers. spans: K lists of positions within 0..L-1.

    Raises InputError naming the class whose focus lies past the last token.
    """
    length = tokenizer.model_max_length
    offsets = _offsets(tokenizer, prompt)
    spans = []
    for (start, end), entry in zip(prompt.spans, prompt.words, strict=True):
        # the begin and end tokens have the empty range (0, 0)
        span = [i for i, (a, b) in enumerate(offsets) if a < end and b > start]
        if not span:
            raise InputError(f"class {echo(entry.word)} has no token: expected a word the tokenizer knows")
        if span[-1] >= length - 1:
            raise InputError(
                f"class {echo(entry.word)} lies past token {length} of the prompt ({len(offsets)} tokens): "
                "give fewer or shorter classes"
            )
        spans.append(span)
    ids = tokenizer(prompt.text, padding="max_length", truncation=True, max_length=length)["input_ids"]
    return ids, spans


def split(
    tokenizer, template: str, words: Sequence[ClassWord], context: str = "", enhancement: float = 1.0
) -> list[Prompt]:
    """Prompts for classes in their order, as few as have all their focus words within the model's length.

    One prompt where all fit; what follows the classes may be cut off, as in the published runs. A class that does not
    fit even alone has a prompt of its own (`tokenize` names it). No class gives the empty prompt.
    """
    if not words:
        return [EMPTY]
    prompts: list[Prompt] = []
    for word in words:
        if prompts:
            longer = build(template, [*prompts[-1].words, word], context, enhancement)
            if _fits(tokenizer, longer):
                prompts[-1] = longer
                continue
        prompts.append(build(template, [word], context, enhancement))
    return prompts


def _fits(tokenizer, prompt: Prompt) -> bool:
    ends = [end for _, end in _offsets(tokenizer, prompt)[: tokenizer.model_max_length - 1]]
    return max(ends) >= prompt.spans[-1][1]


def _offsets(tokenizer, prompt: Prompt) -> list[tuple[int, int]]:
    """Where each token of the uncut prompt begins and ends in its text; no word of the tokenizer on its length."""
    return tokenizer(prompt.text, return_offsets_mapping=True, truncation=False, verbose=False)["offset_mapping"]


def enhance(embeddings: Tensor, spans: Sequence[Sequence[int]], factor: float) -> Tensor:
    """Category enhancement: the embeddings at the focus tokens times `factor`, nothing else scaled.

    (L, D) -> (L, D), a new tensor. A token shared by two classes is scaled once.
    """
    scaled = embeddings.clone()
    tokens = sorted({token for span in spans for token in span})
    scaled[tokens] *= factor
    return scaled
