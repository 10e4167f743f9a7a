"""What all pages share: templates, languages, headers, forms, who is signed in; no page itself."""
