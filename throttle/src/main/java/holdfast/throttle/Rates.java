package holdfast.throttle;

/// The two limits of a link: the line, and the share of it that first sync and catch-up may take
/// together.
///
/// @param link everything on the wire
/// @param catchUp first sync and catch-up; one that is faster than `link` changes nothing
public record Rates(Rate link, Rate catchUp) {
    public static final Rates UNLIMITED = new Rates(Rate.UNLIMITED, Rate.UNLIMITED);
}
