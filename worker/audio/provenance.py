"""How a file says that a machine speaks in it: in a sentence, and in the words of a standard.

The standard is IPTC's vocabulary of digital source types, which C2PA uses too: `trainedAlgorithmicMedia`, in the XMP
property `Iptc4xmpExt:DigitalSourceType`. An XMP packet has a place in mp3, MP4 and WAV files (XMP specification, part
3); FLAC and Opus carry the same value in a comment. All of it can be removed, and none of it is signed.
"""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

from worker.audio.tags import Tags

DIGITAL_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

#: Name of the field where a format lets names be chosen: the XMP property's own.
SOURCE_TYPE_FIELD: Final = "DigitalSourceType"

SOFTWARE: Final = "chatterqueue"

_WATERMARK: Final = {
    None: "",
    True: " The audio carries an inaudible watermark.",
    False: " The audio carries no watermark.",
}


def statement(tags: Tags) -> str:
    """Return the sentence for people who look at a file's comment."""
    engine = f" with the engine {tags.engine}" if tags.engine else ""
    return f"AI-generated speech, made by {SOFTWARE}{engine}.{_WATERMARK[tags.is_watermarked]}"


def software(tags: Tags) -> str:
    """Return what stands in the field for the program that made the file."""
    return f"{SOFTWARE} ({tags.engine})" if tags.engine else SOFTWARE


def xmp_packet(tags: Tags) -> bytes:
    """Return an XMP packet that names the digital source type, the program, and the sentence."""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
<Iptc4xmpExt:DigitalSourceType>{DIGITAL_SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>
<xmp:CreatorTool>{escape(software(tags))}</xmp:CreatorTool>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(statement(tags))}</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>""".encode()
