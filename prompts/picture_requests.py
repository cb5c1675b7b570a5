"""Prompts that ask for a picture, told by their words: a model without pictures is paid for nothing.

Verbs that only a picture fits count at once. Words that occur in both kinds of prompts ("draw", "style")
count unless the prompt also asks for text.
"""

import re

_TEXT_FORMS = (
    r"json|csv|tsv|xml|ya?ml|html|markdown|latex|tex|svg|ascii|unicode|braille|text|transcript|table|spreadsheet"
    r"|excel|list|words?|sentences?|paragraphs?|prose|code|captions?|descriptions?|haiku|poems?|stor(?:y|ies)"
    r"|titles?|headlines?|tags?|hashtags?|keywords?|labels?|summar(?:y|ies)|comments?|numbers?|speech|questions?"
    r"|base64|pdf|boxes|coordinates|units|metric|english|german|french|spanish|italian|chinese|japanese|korean|russian|portuguese|arabic"
)
_TEXT_VERBS = (
    r"describe|write|answer|caption|summari[sz]e|explain|tell|list|extract|transcribe|translate|identify|classify"
    r"|recogni[sz]e|detect|count|read|name|rate|compare|analy[sz]e|what|which|who|whose|where|why|how|does|is|are"
    r"|beschreib\w*|nenne|liste|welche\w*|was|wie|décri\w*|quel\w*|que|describ[ae]\w*|cuál\w*|qué"
)
_KINDS = (
    r"images?|pictures?|photos?|photographs?|paintings?|drawings?|illustrations?|portraits?|logos?|icons?"
    r"|stickers?|wallpapers?|avatars?|posters?|thumbnails?|cartoons?|comics?|caricatures?|watercolou?rs?|sketch"
)
_MODIFIERS = r"(?:(?!(?:for|of|from|in|about|on|per|that|to|and|describing)\b)[\w'-]+\s+){0,4}"

_PICTURE_VERBS = re.compile(
    rf"""
      \b(?:restyle|styli[sz]e|redraw|repaint|recolou?r|colou?ri[sz]e|retouch|upscale|photoshop|inpaint|outpaint)\b
    | \b(?:remove|replace|change|blur|erase|swap)\ the\ background\b
    | \bmake\ (?:it|this|him|her|them|(?:the|this|my)\ \w+)\ look\b
    | \b(?:generate|create|produce|make|give|return|paint|draw)\ (?:me\ )?(?:an?|another|one|two|the)
      \ {_MODIFIERS}(?:{_KINDS})\b
    | \b(?:convert|transform|turn)\b.{{0,60}}?\b(?:in)?to\s+(?!(?:[\w-]+\s+){{0,3}}(?:{_TEXT_FORMS})\b)
    | \b(?:convert|transform)\b(?!.*\b(?:in)?to\b)(?!.*\b(?:{_TEXT_FORMS})\b)
    | \b(?:verwandle|stilisiere|koloriere|redessine|colorise)\b | \bhintergrund\ (?:entfernen|ersetzen)\b
    | \b(?:entferne|ersetze)\ den\ hintergrund\b | \bsupprime\ l'arrière-plan\b | \belimina\ el\ fondo\b
    | \b(?:erzeuge|erstelle|generiere)\ ein(?:e|en)?\ (?:bild|foto|illustration|zeichnung|gemälde)\b
    | \b(?:génère|crée)\ une\ (?:image|photo|illustration)\b
    | \b(?:genera|crea|gera|cria)\ una?\ (?:imagen|imagem)\b
    | 生成.{{0,8}}图 | 画成 | 去除背景 | 動漫風 | 动漫风 | アニメ風 | 背景を(?:消|削除) | 画像を生成
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_PICTURE_WORDS = re.compile(
    r"""
      \bdraw(?!\w|\s+(?:any|a|the|your)?\s*conclusions?|\s+(?:from|on|attention)\b)
    | \b(?:paint|sketch|render)\b
    | \billustrat(?:e|ion|ed)\b | \bstyle\b | \bcartoon\w*\b | \banime\b | \bmanga\b | \bwatercolou?r\b
    | \bpixel\ art\b | \b(?:black\ and\ white|grayscale|sepia)\b
    | (?:^|[.!?;\n]\s*|\bplease\s+|\bthen\s+)
      (?:edit|enhance|restore|retouch|crop|rotate|sharpen|animate|add|put|remove|erase|replace|swap|make)\s
    | \b(?:wandle|zeichne|male|dessine|transforme|convierte|dibuja|colorea|desenha|transforma)\b
    | 转换成 | 变成 | 変換 | 卡通 | イラスト
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ASKS_FOR_TEXT = re.compile(rf"\b(?:{_TEXT_VERBS}|{_TEXT_FORMS})\b", re.IGNORECASE)


def asks_for_picture(prompt: str) -> bool:
    """Return whether the prompt seems to ask for a picture."""
    if _PICTURE_VERBS.search(prompt):
        return True
    return bool(_PICTURE_WORDS.search(prompt)) and not _ASKS_FOR_TEXT.search(prompt)
