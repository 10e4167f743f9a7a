"""What all pages share: templates, languages, headers, forms and sign-in; no page itself."""
