"""XMP packets (ISO 16684-1), made to fit the restored image by taking out and replacing single properties."""

from __future__ import annotations

import re

_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[2-8]")
_WIDTH = re.compile(rb"((?:tiff:ImageWidth|exif:PixelXDimension)(?:\s*=\s*[\"']|>))\d+")
_HEIGHT = re.compile(rb"((?:tiff:ImageLength|exif:PixelYDimension)(?:\s*=\s*[\"']|>))\d+")
_PREVIEWS = rb"(?:xmp|xap):Thumbnails"
_VIDEO = re.compile(rb"(Camera:(?:MotionPhoto|MicroVideo)(?:\s*=\s*[\"']|>))1")
"""A phone's mark that a short video lies behind the photo; it is not copied."""
_BEHIND = (
    b"http://ns.google.com/photos/1.0/container/",
    b"http://ns.google.com/photos/1.0/container/item/",
    b"http://ns.adobe.com/hdr-gain-map/1.0/",
    b"http://ns.apple.com/HDRGainMap/1.0/",
)
"""Namespaces of properties that describe what lies behind the photo and is not copied: gain maps, videos, depth."""
_MAX_UNCLOSED, _MAX_PREFIXES = 20, 20
"""Elements, and names of one namespace: for each the packet is gone through once. Programs write none, and one."""
_END = b"<?xpacket end"


def set_upright(packet: bytes, size: tuple[int, int]) -> bytes:
    """Set an XML packet to orientation 1 and the new size; take out what describes previews and other companions."""
    width, height = (str(pixels).encode() for pixels in size)
    packet = _ORIENTATION.sub(rb"\g<1>1", packet)
    packet = _WIDTH.sub(rb"\g<1>" + width, packet)
    packet = _HEIGHT.sub(rb"\g<1>" + height, packet)
    packet = _VIDEO.sub(rb"\g<1>0", _drop_elements(packet, _PREVIEWS))
    for namespace in _BEHIND:
        packet = _drop_namespace(packet, namespace)
    return packet


def drop_padding(packet: bytes) -> bytes:
    """Take out the room that a packet keeps for editing in place."""
    end = packet.rfind(_END)
    return packet if end < 0 else packet[:end].rstrip() + b"\n" + packet[end:]


def _drop_namespace(packet: bytes, namespace: bytes) -> bytes:
    """Take out the properties of a namespace, elements and attributes, and its declarations.

    A packet with more names for it than any program gives stays as it is.
    """
    declaration = re.compile(rb"\sxmlns:([\w.-]+)\s{0,8}=\s{0,8}[\"']" + re.escape(namespace) + rb"[\"']")
    prefixes = dict.fromkeys(declaration.findall(packet))
    if len(prefixes) > _MAX_PREFIXES:
        return packet
    for prefix in prefixes:
        name = re.escape(prefix) + rb":[\w.-]+"
        packet = _drop_elements(packet, name)
        packet = re.sub(rb"\s" + name + rb"\s{0,8}=\s{0,8}(?:\"[^\"<]*\"|'[^'<]*')", b"", packet)
    return declaration.sub(b"", packet)


def _drop_elements(packet: bytes, name: bytes) -> bytes:
    """Take out elements with all that is in them."""
    parts: list[bytes] = []
    start, unclosed = 0, set[bytes]()
    for match in re.finditer(rb"<(" + name + rb")(?:\s[^<>]*)?>", packet):
        if match.start() < start or match[1] in unclosed:
            continue
        end = match.end()
        if not match[0].endswith(b"/>"):
            close = b"</" + match[1] + b">"
            at = packet.find(close, end)
            if at < 0:
                unclosed.add(match[1])
                if len(unclosed) > _MAX_UNCLOSED:  # no XML, and slow to go through
                    break
                continue
            end = at + len(close)
        parts.append(packet[start : match.start()])
        start = end
    return b"".join([*parts, packet[start:]])
