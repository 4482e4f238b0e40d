//! A page that shows why properties are violated, and needs nothing but itself.

use super::{
    Explanation, STYLE,
    drawing::{drawing, escaped},
};

/// The style of what is not drawn.
const PAGE: &str = include_str!("page.css");

/// The page. `number` says where in its file an event of the history stands, by its index.
pub fn page(explanations: &[Explanation], title: &str, number: impl Fn(u64) -> u64) -> String {
    let title = escaped(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title>\n<style>{PAGE}{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
    );
    for explanation in explanations {
        page += &format!(
            "<section><h2>{}</h2>\n<p class=\"why\">{}.</p>\n{}</section>\n",
            escaped(&explanation.title),
            escaped(&explanation.summary),
            drawing(explanation, &number)
        );
    }
    page + "</body></html>\n"
}
